"""The web page: Gradio's frame, our own view of a transcript, and the routes that both need."""
