"""The waveform for drawing, compared with the loudest samples of an array of all of them."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from emostream.streamer.audio.peaks import COARSE_MS, FINE_MS, FINE_SPAN_MS, NEWS_MS, PeakHistory, Peaks
from emostream.streamer.audio.sources import AudioGap, Pcm

RATES = [1_000, 8_000, 11_025, 16_000, 44_100, 48_000]


def expected(samples: np.ndarray, rate_hz: int, step_ms: int) -> list[int]:
    """A slow loop: sample i lies in step i / rate / step."""
    steps = [int(i * 1_000 // (rate_hz * step_ms)) for i in range(len(samples))]
    loudest = [0.0] * (max(steps, default=-1) + 1)
    for step, sample in zip(steps, np.abs(samples), strict=True):
        loudest[step] = max(loudest[step], float(sample))
    return [round(255 * min(1.0, peak) ** 0.5) for peak in loudest]


def pieces(history: PeakHistory, from_ms: int = 0) -> list[tuple[int, int, list[int]]]:
    return [(piece.from_ms, piece.step_ms, list(piece.values)) for piece in history.after(from_ms)]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_step_is_as_loud_as_its_loudest_sample(rate_hz: int) -> None:
    """However the samples arrive, in blocks of any length."""
    rng = np.random.default_rng(rate_hz)
    samples = rng.uniform(-1.1, 1.1, int(1.37 * rate_hz)).astype(np.float32) * rng.uniform(0, 1) ** 2
    history = PeakHistory(rate_hz)
    cuts = np.sort(rng.integers(0, len(samples), 40))
    for block in np.split(samples, cuts):
        history.add(Pcm(block[:, None]))
    loudness = expected(samples, rate_hz, FINE_MS)
    assert pieces(history) == [(0, FINE_MS, loudness[:-1])]  # the last step is in progress
    history.end()
    assert pieces(history) == [(0, FINE_MS, loudness)]
    assert history.end_ms == FINE_MS * len(loudness)


def test_channels_are_mixed_and_what_is_no_number_is_silence() -> None:
    block = np.array([[0.5, 0.3], [np.nan, 0.1], [-0.8, -0.2]], np.float32)
    history = PeakHistory(150)  # three samples a step
    history.add(Pcm(block))
    history.add(Pcm(np.full((3, 2), np.inf, np.float32)))
    assert pieces(history) == [(0, FINE_MS, [round(255 * 0.5**0.5), 0])]


def test_a_gap_is_silent_and_the_clock_goes_on() -> None:
    history = PeakHistory(16_000)
    history.add(Pcm(np.full((480, 1), 0.25, np.float32)))  # 30 ms
    history.add(AudioGap(100, "lost"))
    history.add(Pcm(np.full((480, 1), 1.0, np.float32)))
    assert pieces(history) == [(0, FINE_MS, [128, 128, 0, 0, 0, 0, 255, 255])]


def test_it_continues_from_any_position() -> None:
    history = PeakHistory(1_000)
    history.add(Pcm(np.linspace(0, 1, 400, dtype=np.float32)[:, None]))
    whole = pieces(history)[0][2]
    assert pieces(history, 200) == [(200, FINE_MS, whole[10:])]
    assert pieces(history, 215) == [(200, FINE_MS, whole[10:])]  # the step in which it lies
    assert pieces(history, 400) == []
    assert pieces(history, 90_000) == []


def test_what_is_long_ago_is_coarse() -> None:
    """Half an hour with a click every minute; the first part is there in steps of 200 ms."""
    minute = np.zeros((60_000, 1), np.float32)
    minute[30_000] = 1.0
    history = PeakHistory(1_000)
    for _ in range(30):
        history.add(Pcm(minute))
    coarse, fine = history.after(0)
    assert (coarse.from_ms, coarse.step_ms, fine.step_ms) == (0, COARSE_MS, FINE_MS)
    assert coarse.end_ms == fine.from_ms
    assert fine.end_ms == 30 * 60_000
    assert fine.end_ms - fine.from_ms >= FINE_SPAN_MS
    clicks = [
        piece.from_ms + piece.step_ms * i for piece in (coarse, fine) for i, v in enumerate(piece.values) if v
    ]
    assert clicks == [60_000 * n + 30_000 for n in range(30)]
    assert len(coarse.values) + len(fine.values) < 40_000
    later = list(history.after(fine.from_ms - 450))
    assert [piece.from_ms for piece in later] == [fine.from_ms - 600, fine.from_ms]


def test_a_day_is_bounded_and_a_gap_of_days_takes_no_memory() -> None:
    history = PeakHistory(8_000)
    history.add(Pcm(np.ones((8_000, 1), np.float32)))
    history.add(AudioGap(72 * 3_600_000, "paused"))
    history.add(Pcm(np.ones((8_000, 1), np.float32)))
    found = list(history.after(0))
    assert history.end_ms == 72 * 3_600_000 + 2_000
    assert found[0].from_ms >= (72 - 24) * 3_600_000 - 3 * 3_600_000
    assert sum(len(piece.values) for piece in found) < 550_000
    assert found[-1].values[-50:] == bytes([255] * 50)


async def test_a_reader_waits_for_the_next_moment() -> None:
    history = PeakHistory(1_000)
    waiting = asyncio.create_task(history.wait(0))
    for _ in range(NEWS_MS // FINE_MS - 1):
        history.add(Pcm(np.ones((FINE_MS, 1), np.float32)))
        await asyncio.sleep(0)
        assert not waiting.done()
    history.add(Pcm(np.ones((FINE_MS, 1), np.float32)))
    await waiting
    ending = asyncio.create_task(history.wait(NEWS_MS))
    await asyncio.sleep(0)
    history.end()
    await ending
    await history.wait(10**9)  # nothing follows
    assert next(history.after(0)) == Peaks(0, FINE_MS, bytes([255] * 5))
