"""A checkpoint adapted to a few clips of one's own: everything behind its frozen encoders is fine-tuned."""
