"""The service over HTTP: OpenAI's audio routes, the Inference Endpoints contract, and what keeps both standing."""
