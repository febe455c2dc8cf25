"""Data augmentation of audio and text. Pure functions: the random generator is an argument."""
