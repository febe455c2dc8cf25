"""Experiments on corpora: folds, seeds, the runs of a table, and the report of what they reached."""
