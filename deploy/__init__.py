"""From here to a running service: the image, and Inference Endpoints from the command line."""
