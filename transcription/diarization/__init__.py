"""Who speaks when, and the assignment of speakers to words."""
