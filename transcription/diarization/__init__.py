"""Speaker diarization, and the assignment of speakers to words."""
