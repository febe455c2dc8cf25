"""Errors that the command line reports in one line."""

from __future__ import annotations


class SettingsError(ValueError):
    """The settings of a run are invalid: an unknown key, a wrong type or value, or a contradiction."""


class PredictionsError(ValueError):
    """A predictions file cannot be read."""
