"""How the demo checkpoints in `models/` and the recordings in `samples/` were made, start to end."""
