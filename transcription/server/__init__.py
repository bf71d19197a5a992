"""The HTTP server: OpenAI's audio routes, the API of Inference Endpoints, health and metrics."""
