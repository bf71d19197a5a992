"""The web page and the routes that it calls."""
