"""Audio in: sources, decoding, and the fixed-rate frames that the pipeline works on."""
