"""Timeline figures of recordings, checked by their pixels."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from emostream.models import LABELS
from emostream.streamer.audio.envelope import WaveformEnvelope
from emostream.streamer.audio.sources import AudioGap, Pcm
from emostream.streamer.output.colours import colour_of
from emostream.streamer.output.timeline_figure import Timeline, timeline_figure, write_png
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event
from tests.support.fakes import voice
from tests.support.png import png_size

RATE_HZ = 16_000
WIDEST = 24 * 150


Speech = tuple[int, int, str, float]


def final(number: int, speech: Speech) -> messages.Emotion:
    """speech: from and to in ms, the emotion and its confidence; the other emotions share the rest."""
    start_ms, end_ms, label, confidence = speech
    rest = (1 - confidence) / (len(LABELS) - 1)
    return msgspec.structs.replace(
        emotion_event(number, label),
        start_ms=start_ms,
        end_ms=end_ms,
        confidence=confidence,
        probabilities=dict.fromkeys(LABELS, rest) | {label: confidence},
    )


async def timeline(*utterances: Speech, seconds: float) -> Timeline:
    """Noise for the utterances, silence between."""
    sound = np.zeros(round(seconds * RATE_HZ), np.float32)
    found = Timeline(LABELS)
    for number, one in enumerate(utterances, 1):
        sound[one[0] * 16 : one[1] * 16] = voice(one[1] - one[0], seed=number)
        await found.send(emotion_event(number, "happy", final=False))  # interim results are not drawn
        await found.send(final(number, one))
    for start in range(0, len(sound), 999):
        found.add_audio(Pcm(sound[start : start + 999, None]), RATE_HZ)
    return found


class Picture:
    """The pixels of a timeline, found by the second."""

    def __init__(self, drawn: Timeline, folder: Path) -> None:
        self.figure = timeline_figure(drawn, "x.wav")
        self.figure.savefig(folder / "x.png")
        self.pixels = np.asarray(imread(folder / "x.png"))[..., :3]

    def column(self, row: int, second: float) -> Any:
        """(height, 3), from the bottom: the pixels of one row of the picture at this second."""
        axes = self.figure.axes[row]
        x = round(axes.transData.transform((second, 0))[0])
        box = axes.get_window_extent()
        return self.pixels[::-1][round(box.y0) : round(box.y1), x]

    def height(self, row: int, second: float, colour: str) -> float:
        """How high this colour reaches there, on the row's own scale."""
        axes = self.figure.axes[row]
        found = np.flatnonzero(np.abs(self.column(row, second) - to_rgb(colour)).max(axis=1) < 0.02)
        top = axes.get_window_extent().y0 + (found.max() + 1 if len(found) else 0)
        return float(axes.transData.inverted().transform((0, top))[1])

    def colours(self, row: int, second: float) -> set[str]:
        """Labels whose colour is there."""
        pixels = self.column(row, second)
        return {
            label for label in LABELS if (np.abs(pixels - to_rgb(colour_of(label))).max(axis=1) < 0.02).any()
        }


async def test_waveform_and_bars_have_the_colour_of_their_utterance(tmp_path: Path) -> None:
    drawn = await timeline((1_000, 2_500, "angry", 0.9), (3_000, 5_000, "sad", 0.4), seconds=6)
    picture = Picture(drawn, tmp_path)
    for second in (1.02, 1.6, 2.48):
        assert picture.colours(0, second) == picture.colours(1, second) == {"angry"}
    for second in (3.02, 4.5, 4.98):
        assert picture.colours(0, second) == picture.colours(1, second) == {"sad"}
    for second in (0.5, 0.97, 2.7, 2.97, 5.03, 5.9):
        assert picture.colours(0, second) == picture.colours(1, second) == set()


async def test_heights_are_confidence_and_probabilities(tmp_path: Path) -> None:
    drawn = await timeline((1_000, 2_500, "angry", 0.85), (3_000, 5_000, "sad", 0.4), seconds=6)
    picture = Picture(drawn, tmp_path)
    names = [axes.get_ylabel() for axes in picture.figure.axes]
    assert names == ["audio", "confidence", *LABELS]
    for second, label, confidence in ((1.1, "angry", 0.85), (3.1, "sad", 0.4)):
        assert picture.height(1, second, colour_of(label)) == pytest.approx(confidence, abs=0.03)
        for row, other in enumerate(LABELS, 2):
            expected = confidence if other == label else (1 - confidence) / 3
            assert picture.height(row, second, colour_of(other)) == pytest.approx(expected, abs=0.04)


async def test_the_waveform_height_is_proportional_to_the_level(tmp_path: Path) -> None:
    """Twice as loud is twice as high; silence is a thin line."""
    drawn = Timeline(LABELS)
    for loud in (0.2, 0.4, 0.0):
        drawn.add_audio(Pcm(np.float32(loud) * np.sign(voice(2_000))[:, None]), RATE_HZ)
    picture = Picture(drawn, tmp_path)

    def extent(second: float) -> int:
        pixels = picture.column(0, second)
        return int((np.abs(pixels - 1).max(axis=1) > 0.15).sum())

    quiet, loud_one, none = (extent(second) for second in (1.1, 3.1, 5.1))
    assert quiet * 2 == pytest.approx(loud_one, abs=4)
    assert loud_one > 150
    assert none <= 4


async def test_labels_are_drawn_where_there_is_room() -> None:
    utterances = [(2_000 * n, 2_000 * n + (1_500 if n % 2 else 300), LABELS[n % 4], 0.7) for n in range(8)]
    drawn = timeline_figure(await timeline(*utterances, seconds=16), "x.wav")
    drawn.draw_without_rendering()
    bars = drawn.axes[1]
    words = [text for text in bars.texts if text.get_text() in LABELS]
    assert [word.get_text() for word in words] == [label for _, _, label, _ in utterances[1::2]]
    for word, (start_ms, end_ms, _, _) in zip(words, utterances[1::2], strict=True):
        left, right = (bars.transData.transform((ms / 1_000, 0))[0] for ms in (start_ms, end_ms))
        box = word.get_window_extent()
        assert left <= box.x0 <= box.x1 <= right
        assert bars.get_window_extent().y0 <= box.y0


@pytest.mark.long
async def test_a_long_recording_has_a_bounded_picture(tmp_path: Path) -> None:
    """Ten hours, at a low rate: no words, hours at the axis."""
    drawn = Timeline(LABELS)
    for _ in range(10):
        drawn.add_audio(Pcm(np.zeros((36_000, 1), np.float32)), 10)
    for number in range(3_000):
        await drawn.send(final(number, (12_000 * number, 12_000 * number + 8_000, "sad", 0.5)))
    write_png(drawn, "long.wav", tmp_path / "long.png")
    assert png_size(tmp_path / "long.png")[0] == WIDEST
    figure = timeline_figure(drawn, "long.wav")
    assert not figure.axes[1].texts
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()][:3] == [
        "0:00:00",
        "0:30:00",
        "1:00:00",
    ]


@pytest.mark.parametrize("name", ["$x_1^{.wav", "\u4f60\U00016a0a\n.wav", "deep/" * 60 + "x.wav"])
@pytest.mark.parametrize("samples", [0, 1, 100])
def test_odd_names_and_very_short_audio_can_be_drawn(name: str, samples: int, tmp_path: Path) -> None:
    """Without a warning, which the tests treat as an error."""
    drawn = Timeline(LABELS)
    drawn.add_audio(Pcm(np.zeros((samples, 2), np.float32)), 44_100)
    write_png(drawn, name, tmp_path / "odd")
    assert png_size(tmp_path / "odd")[0] <= WIDEST


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9_000), min_size=1, max_size=6), st.integers(1, 4_000), st.integers(0, 99))
def test_peaks_are_the_extremes_of_their_interval(sizes: list[int], most: int, seed: int) -> None:
    """However the audio was split, and however often bins were merged."""
    sound = np.random.default_rng(seed).uniform(-1, 1, (sum(sizes), 2)).astype(np.float32)
    peaks = WaveformEnvelope()
    for block in np.split(sound, np.cumsum(sizes)[:-1]):
        peaks.push(block, 1_000)
    edges, low, high = peaks.columns(most)
    assert len(low) == len(high) == len(edges) - 1 <= most
    assert peaks.seconds == edges[-1] == pytest.approx(len(sound) / 1_000)
    whole = sound.mean(axis=1)
    if len(sound):
        assert edges[0] == 0
        assert len(low) >= min(most, len(sound), 4_000)
    for place, (first, last) in enumerate(pairwise(np.round(edges * 1_000).astype(int))):
        assert (low[place], high[place]) == (whole[first:last].min(), whole[first:last].max())


def test_a_day_of_audio_needs_no_more_memory_than_a_minute() -> None:
    peaks = WaveformEnvelope()
    for _ in range(24 * 60):
        peaks.push(np.zeros((600, 1), np.float32), 10)
    assert peaks.seconds == 24 * 3_600
    assert 4_096 < len(peaks.columns(10**9)[1]) <= 8_192


def test_non_finite_samples_are_drawn_as_silence() -> None:
    peaks = WaveformEnvelope()
    peaks.push(np.array([[np.nan], [np.inf], [0.5], [-np.inf]], np.float32), 1_000)
    _, low, high = peaks.columns(10)
    assert (low.tolist(), high.tolist()) == ([0, 0, 0.5, 0], [0, 0, 0.5, 0])


async def test_channels_are_drawn_one_below_the_other(tmp_path: Path) -> None:
    """Each with its own sound and its own utterances, though they overlap in time."""
    drawn = Timeline(LABELS)
    left, right = np.zeros((2, 6 * RATE_HZ), np.float32)
    left[:32_000], right[16_000:] = voice(2_000), voice(5_000)
    drawn.add_audio(AudioGap(1_000, "a pause"), RATE_HZ)  # before anything is known of the channels
    drawn.add_audio(Pcm(np.stack([left, right], 1)), RATE_HZ)
    for number, (channel, start_ms, end_ms, label) in enumerate(
        [(1, 1_000, 3_000, "angry"), (2, 2_000, 7_000, "sad")], 1
    ):
        spoken = final(number, (start_ms, end_ms, label, 0.9))
        await drawn.send(msgspec.structs.replace(spoken, channel=channel))
    picture = Picture(drawn, tmp_path)
    rows = 2 + len(LABELS)
    names = [axes.get_ylabel() for axes in picture.figure.axes]
    assert names == ["channel 1", "confidence", *LABELS, "channel 2", "confidence", *LABELS]
    for first, at in (
        (0, {0.5: set(), 1.5: {"angry"}, 2.5: {"angry"}, 5.0: set()}),
        (rows, {1.5: set(), 2.5: {"sad"}, 6.5: {"sad"}}),
    ):
        for second, labels in at.items():
            assert picture.colours(first, second) == picture.colours(first + 1, second) == labels
    assert picture.figure.axes[0].get_xlim() == (0, 7)


async def test_many_channels_have_only_their_waveforms_and_bars() -> None:
    drawn = Timeline(LABELS)
    drawn.add_audio(Pcm(np.zeros((RATE_HZ, 5), np.float32)), RATE_HZ)
    await drawn.send(msgspec.structs.replace(final(1, (0, 900, "sad", 0.5)), channel=5))
    assert len(timeline_figure(drawn, "x.wav").axes) == 10


async def test_a_notebook_shows_a_figure(tmp_path: Path) -> None:
    """With the hook that IPython asks for: without pyplot it knows no figures."""
    drawn = await timeline(seconds=1)
    one, other = (timeline_figure(drawn, "x.wav") for _ in range(2))
    (tmp_path / "shown.png").write_bytes(one._repr_png_())
    other.savefig(tmp_path / "saved.png")
    np.testing.assert_array_equal(imread(tmp_path / "shown.png"), imread(tmp_path / "saved.png"))
