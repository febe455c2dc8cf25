"""A plot of an alignment: the waveform, and below it words, syllables and phones.

matplotlib is an optional dependency, imported when a plot is drawn. Figures are made without pyplot, which
keeps a global list of them and selects a GUI backend.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples, Span, Word

from ..display_paths import printable
from ..errors import ConfigError
from ..optional_deps import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI: Final = 150
_INCHES_PER_SECOND: Final = 3.0
_MARGIN_INCHES: Final = 1.2
_NARROWEST_INCHES: Final = 7.0
_HEIGHT_INCHES: Final = 4.4
_ROW_HEIGHTS: Final = (2.2, 1.0, 1.0, 1.0)

_POINTS_PER_INCH: Final = 72
_LETTER_WIDTH: Final = 0.78
"""Width of a letter relative to the font size; capitals of the default font are wider than most."""
_ROTATED_SHARE: Final = 0.85
_ROW_PT: Final = 44.0
_LARGEST_PT: Final = 11.0
_LARGEST_ROTATED_PT: Final = 9.0
_SMALLEST_HORIZONTAL_PT: Final = 7.0
_SMALLEST_PT: Final = 4.0

# Okabe and Ito's palette, safe for the common kinds of colour blindness, made lighter under black letters.
_WAVE_COLOUR: Final = "#0072B2"
_TIER_COLOURS: Final = {"words": "#E69F00", "syllables": "#56B4E9", "phones": "#009E73"}
_SHADES: Final = (0.45, 0.22)
"""Alternating opacities, so that neighbours are distinguishable where no line fits between them."""

_MISSING_GLYPH: Final = re.compile(r"Glyph (\d+) ")
"""The beginning of matplotlib's warning about a letter that none of its fonts has."""


def write_png(samples: Samples, alignment: Alignment, title: str, path: Path) -> str:
    """Draw and save. Returns the letters that the font lacks, each once: they are drawn as boxes.

    samples: (N,) at 16 kHz, what was aligned. Raises ConfigError if `path` cannot be written.
    """
    require_matplotlib("--png")
    figure = alignment_figure(samples, alignment, title)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            figure.savefig(path, format="png")
        except OSError as error:
            raise ConfigError(
                f"expected to write to {printable(path)}, got: {error.strerror}; choose another --png"
            ) from error
    return _missing_letters(caught)


def _missing_letters(caught: Sequence[warnings.WarningMessage]) -> str:
    """The letters that these warnings name; other warnings are issued again."""
    letters: dict[str, None] = {}
    for warning in caught:
        if found := _MISSING_GLYPH.match(str(warning.message)):
            letters[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return "".join(letters)


def alignment_figure(samples: Samples, alignment: Alignment, title: str) -> Figure:
    """Four rows; the width grows with the duration, so that a phone of 30 ms has room for its name."""
    from matplotlib.figure import Figure

    seconds = max(len(samples) / SAMPLE_RATE_HZ, 0.1)
    inches_per_second = max(_INCHES_PER_SECOND, (_NARROWEST_INCHES - _MARGIN_INCHES) / seconds)
    size = (seconds * inches_per_second + _MARGIN_INCHES, _HEIGHT_INCHES)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    wave, *tiers = figure.subplots(4, 1, sharex=True, height_ratios=_ROW_HEIGHTS)
    wave.set_title(title, loc="left", fontsize=_LARGEST_PT, parse_math=False)
    _draw_wave(wave, samples, columns=round(seconds * inches_per_second * _DPI))
    spans: tuple[Sequence[Word | Span], ...] = (alignment.words, alignment.syllables, alignment.phones)
    for axes, (name, colour), tier in zip(tiers, _TIER_COLOURS.items(), spans, strict=True):
        _draw_tier(axes, tier, colour, inches_per_second)
        axes.set_ylabel(name)
    wave.set_xlim(0, seconds)
    tiers[-1].set_xlabel("seconds")
    return figure


def _draw_wave(axes: Axes, samples: Samples, columns: int) -> None:
    """The smallest and greatest sample of each column of pixels."""
    edges = np.linspace(0, len(samples), min(columns, len(samples)) + 1).astype(int)[:-1]
    if len(edges):
        low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
        axes.fill_between(edges / SAMPLE_RATE_HZ, low, high, color=_WAVE_COLOUR, linewidth=0.3)
    axes.set_ylabel("audio")
    axes.set_yticks([])


def _draw_tier(axes: Axes, spans: Sequence[Word | Span], colour: str, inches_per_second: float) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    for number, span in enumerate(spans):
        start, end = span.start / SAMPLE_RATE_HZ, span.end / SAMPLE_RATE_HZ
        axes.axvspan(start, end, color=colour, alpha=_SHADES[number % 2], linewidth=0)
        axes.axvline(start, color="black", linewidth=0.4)
        axes.axvline(end, color="black", linewidth=0.4)
        fit = fit_label(span.text, (end - start) * inches_per_second * _POINTS_PER_INCH)
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


def fit_label(text: str, width_pt: float) -> tuple[float, int] | None:
    """The font size in points and the rotation in degrees at which a label fits its span.

    Horizontal as long as it is readable, else rotated; None where neither fits. width_pt: of the span.
    """
    horizontal = width_pt / (len(text) * _LETTER_WIDTH)
    if horizontal >= _SMALLEST_HORIZONTAL_PT:
        return min(horizontal, _LARGEST_PT), 0
    rotated = min(width_pt * _ROTATED_SHARE, _LARGEST_ROTATED_PT, _ROW_PT / (len(text) * _LETTER_WIDTH))
    return (rotated, 90) if rotated >= _SMALLEST_PT else None
