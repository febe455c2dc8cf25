"""Speech recognition with Whisper or PocketSphinx."""
