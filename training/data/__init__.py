"""Data preparation, computed once and cached: decoded audio, alignments, transcripts, frozen features."""
