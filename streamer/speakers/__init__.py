"""Enrolled speakers: their voices in files, and as the baseline that a stream begins with."""
