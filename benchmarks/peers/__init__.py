"""emostream beside other servers that transcribe streams, with the same model and the same sound."""
