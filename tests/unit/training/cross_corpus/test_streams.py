"""Streams of one speaker: what is drawn, and the baselines on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emostream.training.cross_corpus.clips import load_clips
from emostream.training.cross_corpus.streams import (
    STREAM_UTTERANCES,
    STREAMS,
    draw_stream,
    random_baseline,
    simulated_streams,
)
from tests.support.speech_collection import write_collection

ROWS = {0: [0, 1, 2], 3: [3, 4, 5, 6]}


def test_a_stream_has_the_requested_shares_and_repeats_late() -> None:
    rng = np.random.default_rng(0)
    stream = draw_stream(ROWS, STREAMS["90 % neutral"], 400, rng)
    neutral = [row for row in stream if row >= 3]
    assert 0.9 < len(neutral) / len(stream) < 1.0
    for start in range(0, len(neutral) - 3, 4):
        assert sorted(neutral[start : start + 4]) == [3, 4, 5, 6]


def test_a_speaker_without_some_labels_gives_the_others() -> None:
    assert set(draw_stream({-1: [7, 8]}, STREAMS["balanced"], 10, np.random.default_rng(0))) == {7, 8}


def test_a_random_baseline_is_a_shrunk_mean_of_the_speaker_s_states() -> None:
    voices = np.full((7, 2), 4.0, np.float32)
    rng = np.random.default_rng(0)
    drawn = [random_baseline(ROWS, voices, 2.0, 0.5, rng) for _ in range(200)]
    cold = sum(baseline is None for baseline in drawn)
    assert 60 < cold < 140
    values = {round(float(b[0][0]), 4) for b in drawn if b is not None}
    assert values <= {round(4.0 * n / (n + 2), 4) for n in (3, 6, 10, 15, 20, 30, 40, 80)}
    assert len(values) > 3
    assert all(b[0][0] == pytest.approx(4.0 * b[1]) for b in drawn if b is not None)


def test_simulated_streams_are_of_one_speaker_each_and_always_the_same(tmp_path: Path) -> None:
    clips = load_clips(write_collection(tmp_path, ("ravdess",), clips=1))
    streams = simulated_streams(clips, "ravdess", "70 % sad")
    assert streams == simulated_streams(clips, "ravdess", "70 % sad")
    assert {len(stream) for stream in streams} == {STREAM_UTTERANCES}
    assert all(len({clips[row].speaker for row in stream}) == 1 for stream in streams)
    assert {clips[stream[0]].speaker for stream in streams} == {f"ravdess_{n}" for n in range(4)}
    labels = [clips[row].label for stream in streams for row in stream]
    assert np.mean([label == 2 for label in labels]) == pytest.approx(0.7, abs=0.1)
