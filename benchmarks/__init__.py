"""Measurements, printed and kept in benchmarks/results.md: `make bench`, or `python -m benchmarks`."""
