"""The waveform of a recording with gaps."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.streamer.audio.envelope import WaveformEnvelope
from tests.support.fakes import voice


def columns_of(envelope: WaveformEnvelope, first_s: float, last_s: float) -> np.ndarray:
    edges, low, high = envelope.columns(1_000)
    inside = (edges[:-1] >= first_s) & (edges[1:] <= last_s)
    return np.stack([low[inside], high[inside]])


@pytest.mark.parametrize("gap_s", [0.5, 10.0, 36_000.0])
def test_a_gap_is_silence_of_its_length(gap_s: float) -> None:
    envelope = WaveformEnvelope()
    envelope.push(voice(2_000)[:, None], 16_000)
    envelope.skip(gap_s, 16_000)
    envelope.push(voice(2_000)[:, None], 16_000)
    assert envelope.seconds == pytest.approx(4 + gap_s)
    width = envelope.seconds / 1_000
    assert not columns_of(envelope, 2 + width, 2 + gap_s - width).any()
    last = columns_of(envelope, 2 + gap_s - 2 * width, envelope.seconds)
    assert last[1].max() == pytest.approx(float(voice(2_000).max()))


def test_a_recording_may_begin_with_a_gap() -> None:
    envelope = WaveformEnvelope()
    envelope.skip(1.5, 8_000)
    envelope.push(voice(1_000)[:, None], 8_000)
    assert envelope.seconds == pytest.approx(3.5)
    assert not columns_of(envelope, 0, 1.4).any()
