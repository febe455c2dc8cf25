"""Alignment of a transcript's words, syllables and phones with the audio."""
