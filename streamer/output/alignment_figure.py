"""An alignment as a picture: the waveform, and below it words, syllables and phones on one time axis.

matplotlib is an extra, imported when a picture is drawn. Figures are made without pyplot: it keeps a global
list of them and picks a window system.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples, Span, Word

from ..display_paths import shown
from ..errors import ConfigError
from ..optional_deps import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI: Final = 150
_INCHES_A_SECOND: Final = 3.0
_MARGIN_INCHES: Final = 1.2
_NARROWEST_INCHES: Final = 7.0
_HEIGHT_INCHES: Final = 4.4
_ROW_HEIGHTS: Final = (2.2, 1.0, 1.0, 1.0)

_POINTS_AN_INCH: Final = 72
_LETTER_WIDTH: Final = 0.78
"""Width of a letter as a share of its size; capitals of the default font are wider than most."""
_UPRIGHT_SHARE: Final = 0.85
_ROW_PT: Final = 44.0
_LARGEST_PT: Final = 11.0
_LARGEST_UPRIGHT_PT: Final = 9.0
_SMALLEST_LEVEL_PT: Final = 7.0
_SMALLEST_PT: Final = 4.0

# Okabe and Ito's palette, which the common kinds of colour blindness tell apart, thinned under black letters.
_WAVE_COLOUR: Final = "#0072B2"
_TIER_COLOURS: Final = {"words": "#E69F00", "syllables": "#56B4E9", "phones": "#009E73"}
_SHADES: Final = (0.45, 0.22)
"""Opacity of neighbours, in turn, so that they can be told apart where no line fits between them."""

_MISSING_GLYPH: Final = re.compile(r"Glyph (\d+) ")
"""How matplotlib's warning about a letter that none of its fonts has begins."""


def write_png(samples: Samples, alignment: Alignment, title: str, path: Path) -> str:
    """Draw, and say which letters the font lacks, each once: boxes stand for them in the picture.

    samples: (N,) at 16 kHz, what was aligned. Raises ConfigError where `path` cannot be written.
    """
    require_matplotlib("--png")
    figure = alignment_figure(samples, alignment, title)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            figure.savefig(path, format="png")
        except OSError as error:
            raise ConfigError(
                f"expected to write to {shown(path)}, got: {error.strerror}; choose another --png"
            ) from error
    return _missing_letters(caught)


def _missing_letters(caught: Sequence[warnings.WarningMessage]) -> str:
    """What of these is no missing letter is warned of again."""
    letters: dict[str, None] = {}
    for warning in caught:
        if found := _MISSING_GLYPH.match(str(warning.message)):
            letters[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return "".join(letters)


def alignment_figure(samples: Samples, alignment: Alignment, title: str) -> Figure:
    """Four rows; as wide as the sound is long, so that a phone of 30 ms still has room for its name."""
    from matplotlib.figure import Figure

    seconds = max(len(samples) / SAMPLE_RATE_HZ, 0.1)
    inches_a_second = max(_INCHES_A_SECOND, (_NARROWEST_INCHES - _MARGIN_INCHES) / seconds)
    size = (seconds * inches_a_second + _MARGIN_INCHES, _HEIGHT_INCHES)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    wave, *tiers = figure.subplots(4, 1, sharex=True, height_ratios=_ROW_HEIGHTS)
    wave.set_title(title, loc="left", fontsize=_LARGEST_PT, parse_math=False)
    _draw_wave(wave, samples, columns=round(seconds * inches_a_second * _DPI))
    spans: tuple[Sequence[Word | Span], ...] = (alignment.words, alignment.syllables, alignment.phones)
    for axes, (name, colour), tier in zip(tiers, _TIER_COLOURS.items(), spans, strict=True):
        _draw_tier(axes, tier, colour, inches_a_second)
        axes.set_ylabel(name)
    wave.set_xlim(0, seconds)
    tiers[-1].set_xlabel("seconds")
    return figure


def _draw_wave(axes: Axes, samples: Samples, columns: int) -> None:
    """The least and greatest sample of every column of pixels."""
    edges = np.linspace(0, len(samples), min(columns, len(samples)) + 1).astype(int)[:-1]
    if len(edges):
        low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
        axes.fill_between(edges / SAMPLE_RATE_HZ, low, high, color=_WAVE_COLOUR, linewidth=0.3)
    axes.set_ylabel("sound")
    axes.set_yticks([])


def _draw_tier(axes: Axes, spans: Sequence[Word | Span], colour: str, inches_a_second: float) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    for number, span in enumerate(spans):
        start, end = span.start / SAMPLE_RATE_HZ, span.end / SAMPLE_RATE_HZ
        axes.axvspan(start, end, color=colour, alpha=_SHADES[number % 2], linewidth=0)
        axes.axvline(start, color="black", linewidth=0.4)
        axes.axvline(end, color="black", linewidth=0.4)
        fit = fit_label(span.text, (end - start) * inches_a_second * _POINTS_AN_INCH)
        if fit is None:
            continue
        size, rotation = fit
        axes.text(
            (start + end) / 2,
            0.5,
            span.text,
            ha="center",
            va="center",
            fontsize=size,
            rotation=rotation,
            parse_math=False,
            clip_on=True,
        )


def fit_label(text: str, room_pt: float) -> tuple[float, int] | None:
    """The size in points and the rotation in degrees at which a label keeps to its span's width.

    Level as long as it stays readable, upright otherwise; None where there is no room for either.
    """
    level = room_pt / (len(text) * _LETTER_WIDTH)
    if level >= _SMALLEST_LEVEL_PT:
        return min(level, _LARGEST_PT), 0
    upright = min(room_pt * _UPRIGHT_SHARE, _LARGEST_UPRIGHT_PT, _ROW_PT / (len(text) * _LETTER_WIDTH))
    return (upright, 90) if upright >= _SMALLEST_PT else None
