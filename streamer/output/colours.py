"""The emotions' colours: in plots, as on the page on white (`demo/style.css`), and in the terminal."""

from __future__ import annotations

from typing import Final

# After Okabe and Ito's palette: different in hue and in lightness. A label always stands beside the colour.
_COLOURS: Final = {"angry": "#c8420c", "happy": "#b97a00", "sad": "#1d6fb8", "neutral": "#6c7078"}
_OTHER: Final = "#7b4fa3"

TERMINAL_STYLES: Final = {"angry": "red", "happy": "yellow", "sad": "blue", "neutral": "bright_black"}
"""By label, for rich: legible on dark and on light backgrounds."""


def colour_of(label: str) -> str:
    """As `#rrggbb`; labels that this project's models do not have share one."""
    return _COLOURS.get(label, _OTHER)
