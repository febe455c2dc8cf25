"""The emotions' colours in pictures: those of the page on white paper (`demo/style.css`)."""

from __future__ import annotations

from typing import Final

# After Okabe and Ito's palette: apart in hue and in lightness. A word or a place stands beside each.
_COLOURS: Final = {"angry": "#c8420c", "happy": "#b97a00", "sad": "#1d6fb8", "neutral": "#6c7078"}
_OTHER: Final = "#7b4fa3"


def colour_of(label: str) -> str:
    """As `#rrggbb`; labels that this project's models do not have share one."""
    return _COLOURS.get(label, _OTHER)
