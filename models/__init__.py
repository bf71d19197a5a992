"""The checkpoints that ship with this repository."""
