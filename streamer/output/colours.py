"""The emotions' colours: in plots, on pages as on the live one (`demo/style.css`), in the terminal."""

from __future__ import annotations

from typing import Final

# After Okabe and Ito's palette: different in hue and in lightness. A label always stands beside the colour.
_COLOURS: Final = {"angry": "#c8420c", "happy": "#b97a00", "sad": "#1d6fb8", "neutral": "#6c7078"}
_OTHER: Final = "#7b4fa3"
_DARK: Final = {"angry": "#ff7a45", "happy": "#ffc73b", "sad": "#5cb0ff", "neutral": "#a3aab8"}
_OTHER_DARK: Final = "#c79bf0"

TERMINAL_STYLES: Final = {"angry": "red", "happy": "yellow", "sad": "blue", "neutral": "bright_black"}
"""By label, for rich: legible on dark and on light backgrounds."""


def colour_of(label: str, *, dark: bool = False) -> str:
    """As `#rrggbb`; labels that this project's models do not have share one. dark: on a dark background."""
    return _DARK.get(label, _OTHER_DARK) if dark else _COLOURS.get(label, _OTHER)
