"""Speakers on real recordings: the diarization, and the assignment of its turns to words."""
