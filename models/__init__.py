"""The demo checkpoints that ship with this repository."""
