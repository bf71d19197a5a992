"""Accuracy on real speech, ours and our peers': `python -m benchmarks.speech --help`."""
