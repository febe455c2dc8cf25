"""Readers of the speech and text corpora, one module each, all into `Example`."""
