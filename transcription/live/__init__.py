"""Live transcription: audio that is spoken now, turn by turn, with words before a turn has ended."""
