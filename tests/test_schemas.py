"""The OpenAPI document is true: what it allows never breaks the server, and answers are as it says."""
