"""The service on many machines, with Ray Serve."""
