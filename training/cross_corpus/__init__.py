"""The recipe of models/bundled_whisper: heads and fusion on the encoder of a Whisper model."""
