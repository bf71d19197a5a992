"""OpenAI's realtime transcription over WebSocket: events of the protocol around a LiveSession."""
