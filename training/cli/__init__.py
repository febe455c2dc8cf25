"""The commands of `python -m emostream.training`."""
