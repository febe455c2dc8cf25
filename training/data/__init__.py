"""What is computed once and kept: decoded sound, alignments, transcripts, frozen features."""
