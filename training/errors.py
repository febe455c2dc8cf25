"""The error of invalid settings."""

from __future__ import annotations


class SettingsError(ValueError):
    """The settings of a run are invalid: an unknown key, a wrong type or value, or a contradiction."""
