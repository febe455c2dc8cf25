"""A plot of a summary: time per emotion, which emotion follows which, and each recording's shares.

matplotlib is an optional dependency, imported when a plot is drawn. Figures are made without pyplot, which
keeps a global list of them and selects a GUI backend.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..display_paths import printable
from ..errors import ConfigError
from ..optional_deps import require_matplotlib
from ..output.colours import colour_of
from ..plurals import counted
from .export import Summary, display_name, minutes, percent, shorten_names
from .statistics import RecordingSummary, longest_recordings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FILES: Final = 40

_DPI: Final = 150
_WIDTH_INCHES: Final = 11.0
_TOP_INCHES: Final = 3.4
_INCHES_PER_LABEL: Final = 0.5
_INCHES_PER_FILE: Final = 0.3
_MARGIN_INCHES: Final = 0.9
_PAD_INCHES: Final = 0.1
_INK: Final = "#1d1c1a"
_SOFT: Final = "#5f5b54"
_EDGE: Final = "#ffffff"
_PT: Final = 9.0
_TITLE_PT: Final = 11.0
_LONGEST_NAME: Final = 40
_HORIZONTAL_LABELS: Final = 7
_FULL_SIZE_LABELS: Final = 12
"""Up to how many labels their names are horizontal below the matrix, and its numbers full-size."""
_LETTER_SHARE: Final = 0.0115
"""Width of a letter, as a share of a recording's bar."""
_DARKEST: Final = 1.25
_WHITE_TEXT: Final = 0.85
"""Shares: the end of the colour scale, and from where a cell is too dark for black text."""
_HATCHES: Final = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "---")
"""Labels that this project's models do not have share one colour."""


def write_png(summary: Summary, path: Path) -> None:
    """Raises ConfigError if matplotlib is missing or `path` cannot be written."""
    require_matplotlib("--png")
    figure = summary_figure(summary)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ ")  # letters that the fonts lack are drawn as boxes
        try:
            figure.savefig(path, format="png")
        except OSError as error:
            raise ConfigError(
                f"expected to write to {printable(path)}, got: {error.strerror}; choose another --png"
            ) from error


def summary_figure(summary: Summary) -> Figure:
    """The height grows with the number of recordings, of which the longest are drawn."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shown_recordings = longest_recordings(summary.recordings, MOST_FILES)
    top = max(_TOP_INCHES, _INCHES_PER_LABEL * len(summary.labels) + _MARGIN_INCHES)
    bottom = _INCHES_PER_FILE * len(shown_recordings) + _MARGIN_INCHES
    layout = ConstrainedLayoutEngine(w_pad=_PAD_INCHES, h_pad=_PAD_INCHES)
    figure = Figure(figsize=(_WIDTH_INCHES, top + bottom), dpi=_DPI, layout=layout)
    grid = figure.add_gridspec(2, 1, height_ratios=(top, bottom))
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    shares, transitions = above.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_shares(shares, summary)
    _draw_transitions(transitions, summary)
    _draw_recordings(below.subplots(), shown_recordings, summary)
    return figure


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=_TITLE_PT, color=_INK, parse_math=False)
    axes.tick_params(length=0, labelsize=_PT, colors=_INK)
    axes.spines[:].set_visible(False)


def _bar_styles(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and hatch of each label's bars."""
    others = [label for label in labels if colour_of(label) == colour_of("")]
    hatches = {label: _HATCHES[place % len(_HATCHES)] for place, label in enumerate(others)}
    return {
        label: {
            "color": colour_of(label),
            "hatch": hatches.get(label, ""),
            "edgecolor": _EDGE,
            "linewidth": 0.8,
        }
        for label in labels
    }


def _draw_message(axes: Axes, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, ha="center", va="center", color=_SOFT, transform=axes.transAxes)


def _draw_shares(axes: Axes, summary: Summary) -> None:
    total, labels = summary.total, summary.labels
    speech, styles = total.all, _bar_styles(labels)
    total_text = (
        f"{minutes(speech.ms)} min of speech"
        if summary.by == "time"
        else counted(speech.utterances, "utterance")
    )
    _title(axes, f"Shares of {total_text}")
    if not labels:
        _draw_message(axes, "no utterances")
        return
    most = max(total.share(label, summary.by) or 0.0 for label in labels)
    for place, label in enumerate(labels):
        share, emotion = total.share(label, summary.by) or 0.0, total.emotions[label]
        axes.barh(place, share, height=0.72, **styles[label])
        axes.text(
            share + 0.03 * most,
            place,
            f"{percent(share)}   {minutes(emotion.ms)} min, {emotion.utterances} utt.",
            va="center",
            fontsize=_PT,
            color=_INK,
        )
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, most * 1.6 or 1)  # room for the text beside the longest bar
    axes.set_xticks([])


def _draw_transitions(axes: Axes, summary: Summary) -> None:
    total, labels = summary.total, summary.labels
    count = total.transitions.total()
    _title(axes, f"What follows what: {counted(count, 'transition')}, share of the row")
    if not count:
        _draw_message(axes, "no two utterances in a row")
        return
    shares = [
        [total.transitions[first, then] / max(total.transitions_from(first), 1) for then in labels]
        for first in labels
    ]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=_DARKEST, aspect="auto")
    for row, first in enumerate(labels):
        for column, then in enumerate(labels):
            count, share = total.transitions[first, then], shares[row][column]
            axes.text(
                column,
                row,
                f"{count}\n{percent(share)}" if count else "0",
                ha="center",
                va="center",
                fontsize=_PT * min(1, _FULL_SIZE_LABELS / len(labels)),
                color="white" if share >= _WHITE_TEXT else _INK if count else _SOFT,
            )
    rotation = 90 if len(labels) > _HORIZONTAL_LABELS else 0
    axes.set_xticks(range(len(labels)), labels, parse_math=False, rotation=rotation)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("then", fontsize=_PT, color=_SOFT)
    axes.set_ylabel("first", fontsize=_PT, color=_SOFT)


def _draw_recordings(axes: Axes, shown_recordings: Sequence[RecordingSummary], summary: Summary) -> None:
    left_out, styles = len(summary.recordings) - len(shown_recordings), _bar_styles(summary.labels)
    suffix = f"; {counted(left_out, 'shorter one')} left out" if left_out else ""
    _title(axes, f"Each recording's shares, by {summary.by}{suffix}")
    for place, recording in enumerate(shown_recordings):
        statistics, left = recording.statistics, 0.0
        for label in summary.labels:
            share = statistics.share(label, summary.by) or 0.0
            axes.barh(place, share, left=left, height=0.78, **styles[label])
            if share >= _LETTER_SHARE * len(label):
                _name_part(axes, left + share / 2, place, label)
            left += share
        totals = f"{minutes(statistics.length_ms)} min, {statistics.all.utterances} utt."
        axes.text(1.01, place, totals, va="center", fontsize=_PT, color=_SOFT)
    names = shorten_names([display_name(recording) for recording in shown_recordings], _LONGEST_NAME)
    axes.set_yticks(range(len(shown_recordings)), names, parse_math=False)
    axes.set_ylim(len(shown_recordings) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])


def _name_part(axes: Axes, x: float, y: float, label: str) -> None:
    axes.text(
        x,
        y,
        label,
        ha="center",
        va="center",
        fontsize=_PT - 1,
        color="white",
        parse_math=False,
        bbox={"facecolor": colour_of(label), "edgecolor": "none", "pad": 1},  # a hatch would cross it
    )
