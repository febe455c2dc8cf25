"""Recordings to results."""
