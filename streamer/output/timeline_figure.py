"""A plot of a recording: its waveform, a bar for each utterance, and a row for each emotion's probability.

Channels that were heard on their own are drawn one below the other.

matplotlib is an optional dependency, imported when a plot is drawn. Figures are made without pyplot, which
keeps a global list of them and selects a GUI backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..audio.envelope import WaveformEnvelope
from ..audio.sources import AudioGap, Item, Pcm
from ..plurals import counted
from ..protocol import messages
from .alignment_figure import fit_label
from .colours import colour_of
from .document import FinalsSink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .shown_figure import ShownFigure

_DPI: Final = 150
_INCHES_PER_SECOND: Final = 0.45
_MARGIN_INCHES: Final = 1.0
_WIDTH_INCHES: Final = (8.0, 24.0)
_WAVE_INCHES: Final = 1.5
_BARS_INCHES: Final = 1.1
_EMOTION_INCHES: Final = 0.5
_AROUND_INCHES: Final = 0.9
_POINTS_PER_INCH: Final = 72

_INK: Final = "#1d1c1a"
_SOFT: Final = "#5f5b54"
_LINE: Final = "#e4dfd6"
_SILENCE: Final = "#c4beb2"
_MINOR_ALPHA: Final = 0.3
"""Opacity of an emotion's probability while another one is greater."""

_TICKS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400)
_TICK_INCHES: Final = 0.8
_LETTERS_PER_INCH: Final = 6
_WORD_PT: Final = 9.0
_SHARE_PT: Final = 7.5
_MOST_DETAILED: Final = 4
"""With more channels than that only their waveforms and bars are drawn."""
_HEADROOM: Final = 1.3
"""Height of the bars' row, in confidence: leaves room for a percentage above a full bar."""


@dataclass(frozen=True, slots=True)
class Span:
    """An utterance with its result. probabilities: in the labels' order. channel: where it is heard on its
    own.
    """

    start_s: float
    end_s: float
    label: str
    confidence: float
    probabilities: tuple[float, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """What is drawn together: a recording, or one of its channels."""

    name: str
    peaks: WaveformEnvelope
    spans: Sequence[Span]


class Timeline(FinalsSink):
    """Collects what the plot shows: a sink of the recording's events that also takes its audio."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.peaks = WaveformEnvelope()
        self.spans: list[Span] = []
        self._channel_peaks: list[WaveformEnvelope] = []

    @property
    def tracks(self) -> list[Track]:
        """One, or one for each channel if results have a channel."""
        if all(span.channel is None for span in self.spans):
            return [Track("audio", self.peaks, self.spans)]
        return [
            Track(f"channel {channel}", peaks, [span for span in self.spans if span.channel == channel])
            for channel, peaks in enumerate(self._channel_peaks or [self.peaks], 1)
        ]

    def add_audio(self, item: Item, sample_rate_hz: int) -> None:
        """Of the recording's source, in order. sample_rate_hz: the source's."""
        match item:
            case Pcm(block):
                if block.shape[1] > 1 and not self._channel_peaks:
                    self._channel_peaks = [self._begun(sample_rate_hz) for _ in range(block.shape[1])]
                self.peaks.push(block, sample_rate_hz)
                for channel, peaks in enumerate(self._channel_peaks):
                    peaks.push(block[:, channel : channel + 1], sample_rate_hz)
            case AudioGap(ms):
                for peaks in (self.peaks, *self._channel_peaks):
                    peaks.skip(ms / 1_000, sample_rate_hz)

    def _begun(self, sample_rate_hz: int) -> WaveformEnvelope:
        """Of a channel, after what there was before the first block: a gap."""
        peaks = WaveformEnvelope()
        if self.peaks.seconds:
            peaks.skip(self.peaks.seconds, sample_rate_hz)
        return peaks

    def write(self, event: messages.Emotion) -> None:
        probabilities = tuple(event.probabilities[label] for label in self.labels)
        start_s, end_s = event.start_ms / 1_000, event.end_ms / 1_000
        self.spans.append(Span(start_s, end_s, event.label, event.confidence, probabilities, event.channel))


def write_png(timeline: Timeline, title: str, path: Path) -> None:
    """Draw and save. path: written as PNG whatever its suffix."""
    timeline_figure(timeline, title).savefig(path, format="png")


def timeline_figure(timeline: Timeline, title: str) -> ShownFigure:
    """The width grows with the duration, within bounds; labels are drawn on bars that are wide enough."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from .shown_figure import ShownFigure

    seconds = max(timeline.peaks.seconds, 0.1)
    least, most = _WIDTH_INCHES
    width = min(max(seconds * _INCHES_PER_SECOND + _MARGIN_INCHES, least), most)
    inches_per_second = (width - _MARGIN_INCHES) / seconds
    tracks = timeline.tracks
    labels = timeline.labels if len(tracks) <= _MOST_DETAILED else ()
    of_track = [_WAVE_INCHES, _BARS_INCHES, *(_EMOTION_INCHES for _ in labels)]
    heights = of_track * len(tracks)
    figure = ShownFigure(
        figsize=(width, sum(heights) + _AROUND_INCHES),
        dpi=_DPI,
        layout=ConstrainedLayoutEngine(h_pad=0.03, hspace=0.0),
    )
    all_rows = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    _draw_title(all_rows[0], timeline, title, round(width * _LETTERS_PER_INCH))
    for number, track in enumerate(tracks):
        wave, bars, *rows = all_rows[number * len(of_track) : (number + 1) * len(of_track)]
        _draw_wave(wave, track, columns=round((width - _MARGIN_INCHES) * _DPI))
        _draw_bars(bars, track.spans, inches_per_second)
        for place, (axes, label) in enumerate(zip(rows, labels, strict=True)):
            _draw_row(axes, track.spans, label, place)
    for axes in figure.axes:
        _clean(axes)
    figure.align_ylabels()
    all_rows[0].set_xlim(0, seconds)
    _draw_times(all_rows[-1], seconds, inches_per_second)
    return figure


def _draw_title(axes: Axes, timeline: Timeline, title: str, letters: int) -> None:
    """letters: how many there is room for; a longer title is cut at its beginning."""
    style: dict[str, Any] = {"parse_math": False, "color": _INK}
    fitting = title if len(title) <= letters else f"…{title[1 - letters :]}"
    axes.set_title(_in_font(fitting), loc="left", fontsize=12, fontweight="bold", **style)
    count = len(timeline.spans)
    count_text = "no speech was found" if not count else counted(count, "utterance")
    axes.set_title(count_text, loc="right", fontsize=9, **(style | {"color": _SOFT}))


def _draw_wave(axes: Axes, track: Track, columns: int) -> None:
    """A box for each column of pixels, in the colour of the utterance at its centre."""
    from matplotlib.collections import PolyCollection

    edges, low, high = track.peaks.columns(columns)
    left, right = edges[:-1], edges[1:]
    greatest = max(float(np.abs([low, high]).max(initial=0.0)), 1e-4)
    low, high = (
        np.minimum(low, -greatest / 100),
        np.maximum(high, greatest / 100),
    )  # silence is drawn as a line
    corners = np.stack([[left, low], [left, high], [right, high], [right, low]]).transpose(2, 0, 1)
    colours = _colours_at(((left + right) / 2).tolist(), track.spans)
    # With antialiasing the background would show between neighbours.
    boxes = PolyCollection(list(corners), facecolors=colours, linewidths=0, antialiaseds=False)
    axes.add_collection(boxes, autolim=False)
    axes.set_ylim(-1.05 * greatest, 1.05 * greatest)
    axes.set_yticks([])
    _name(axes, track.name, _INK)


def _colours_at(moments: Sequence[float], spans: Sequence[Span]) -> list[str]:
    starts = np.array([span.start_s for span in spans])
    before = np.searchsorted(starts, moments, side="right") - 1
    return [
        colour_of(spans[place].label) if place >= 0 and moment <= spans[place].end_s else _SILENCE
        for place, moment in zip(before, moments, strict=True)
    ]


def _draw_bars(axes: Axes, spans: Sequence[Span], inches_per_second: float) -> None:
    heights = [span.confidence for span in spans]
    _boxes(axes, spans, heights, [colour_of(span.label) for span in spans], [1.0] * len(spans))
    axes.set_ylim(0, _HEADROOM)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    for span in spans:
        width_pt = (span.end_s - span.start_s) * inches_per_second * _POINTS_PER_INCH
        fit = fit_label(span.label, width_pt)
        if fit is None or fit[1]:
            continue
        middle, size = (span.start_s + span.end_s) / 2, min(fit[0], _WORD_PT)
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False, "clip_on": True}
        axes.text(
            middle, 0.05, _in_font(span.label), fontsize=size, color="white", fontweight="bold", **style
        )
        axes.text(
            middle, span.confidence + 0.03, f"{span.confidence:.0%}", fontsize=_SHARE_PT, color=_INK, **style
        )
    _name(axes, "confidence", _INK)


def _draw_row(axes: Axes, spans: Sequence[Span], label: str, place: int) -> None:
    """Steps as high as the probability; opaque where it is the greatest."""
    colour = colour_of(label)
    alphas = [1.0 if span.label == label else _MINOR_ALPHA for span in spans]
    _boxes(axes, spans, [span.probabilities[place] for span in spans], [colour] * len(spans), alphas)
    axes.set_ylim(0, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    _name(axes, _in_font(label), colour)


def _boxes(
    axes: Axes, spans: Sequence[Span], heights: Sequence[float], edges: Sequence[str], alphas: Sequence[float]
) -> None:
    """edges: colours of the upper edges. alphas: opacity of the areas below, in the same colours.

    Drawn as collections: thousands of patches would take a minute.
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import to_rgba

    corners = [
        [(span.start_s, 0), (span.start_s, height), (span.end_s, height), (span.end_s, 0)]
        for span, height in zip(spans, heights, strict=True)
    ]
    faces = [to_rgba(colour, alpha) for colour, alpha in zip(edges, alphas, strict=True)]
    axes.add_collection(PolyCollection(corners, facecolors=faces, linewidths=0), autolim=False)
    tops = [corner[1:3] for corner in corners]
    axes.add_collection(LineCollection(tops, colors=edges, linewidths=1.2, capstyle="butt"), autolim=False)


def _name(axes: Axes, name: str, colour: str) -> None:
    axes.set_ylabel(
        name, rotation=0, ha="right", va="center", color=colour, fontsize=9, labelpad=6, parse_math=False
    )


def _clean(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(length=0, labelsize=7, colors=_SOFT)
    axes.grid(axis="both", color=_LINE, linewidth=0.5)
    axes.set_axisbelow(True)


def _draw_times(axes: Axes, seconds: float, inches_per_second: float) -> None:
    """Ticks as m:ss, or h:mm:ss for an hour and more."""
    step = next((tick for tick in _TICKS_S if tick * inches_per_second >= _TICK_INCHES), _TICKS_S[-1])
    ticks = np.arange(0, seconds + 1e-6, step)
    axes.tick_params(axis="x", pad=6)
    axes.set_xticks(ticks, [_clock(round(tick), hours=seconds >= 3_600) for tick in ticks])


def _clock(seconds: int, *, hours: bool) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _in_font(text: str) -> str:
    """Letters that the font lacks are replaced by U+FFFD: matplotlib would warn about each."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    letters = get_font(findfont(FontProperties(weight="bold"))).get_charmap()
    return "".join(letter if ord(letter) in letters else "\ufffd" for letter in text)
