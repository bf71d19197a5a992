"""The routes of the HTTP service, a module for each protocol."""
