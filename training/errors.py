"""What is wrong with a run's TOML."""

from __future__ import annotations


class SettingsError(ValueError):
    """A run's settings are not what they should be: unknown, of a wrong type, or contradicting each other."""
