"""Sound to words: Whisper, PocketSphinx, and which of them to take."""
