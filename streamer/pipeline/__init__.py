"""One stream's way from audio to events."""
