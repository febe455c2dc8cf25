"""Metrics of a model, their confidence intervals, and plots."""
