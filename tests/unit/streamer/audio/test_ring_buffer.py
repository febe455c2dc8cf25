"""The ring buffer of a stream's audio, and its HTTP endpoint."""

from __future__ import annotations

import io
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
import soxr

from emostream.streamer.audio.ring_buffer import MAX_WAV_MS, AudioRingBuffer
from emostream.streamer.audio.sources import AudioGap, Pcm
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.fakes import voice
from tests.support.serving import get, serving

RNG = np.random.default_rng(1)


def noise(ms: int) -> np.ndarray:
    return RNG.uniform(-0.5, 0.5, 16 * ms).astype(np.float32)


def read(buffer: AudioRingBuffer, from_ms: int, to_ms: int) -> tuple[int, np.ndarray]:
    """Read with another library."""
    result = buffer.wav(from_ms, to_ms)
    assert result is not None
    samples, rate = soundfile.read(io.BytesIO(result[1]), dtype="float32")
    assert rate == 16_000
    return result[0], samples


def fill(buffer: AudioRingBuffer, samples: np.ndarray, block: int = 1_600) -> None:
    for first in range(0, len(samples), block):
        buffer.add(Pcm(samples[first : first + block, None]))


def test_a_span_holds_the_audio_of_that_time() -> None:
    buffer = AudioRingBuffer(10, 16_000, 1)
    audio = noise(4_000)
    fill(buffer, audio, block=777)
    start_ms, samples = read(buffer, 1_234, 2_500)
    assert start_ms == 1_234
    np.testing.assert_allclose(samples, audio[16 * 1_234 : 16 * 2_500], atol=1 / 32_768)


def test_the_oldest_audio_is_dropped_and_a_span_beyond_it_is_cut() -> None:
    buffer = AudioRingBuffer(2, 16_000, 1)
    audio = noise(5_000)
    fill(buffer, audio)
    assert buffer.span_ms == (3_000, 5_000)
    start_ms, samples = read(buffer, 0, 99_000)
    assert start_ms == 3_000
    np.testing.assert_allclose(samples, audio[16 * 3_000 :], atol=1 / 32_768)
    assert buffer.wav(0, 3_000) is None
    assert buffer.wav(5_000, 6_000) is None
    assert buffer.wav(4_000, 4_000) is None


def test_memory_is_bounded() -> None:
    buffer = AudioRingBuffer(1, 16_000, 1)
    for _ in range(100):
        fill(buffer, noise(100))
    assert len(buffer._seconds) <= 2


def test_no_wav_is_longer_than_a_minute() -> None:
    buffer = AudioRingBuffer(100, 16_000, 1)
    fill(buffer, np.zeros(16 * 90_000, np.float32), block=16_000)
    start_ms, samples = read(buffer, 5_000, 90_000)
    assert (start_ms, len(samples)) == (5_000, 16 * MAX_WAV_MS)


def test_a_gap_is_silence_of_its_length() -> None:
    buffer = AudioRingBuffer(10, 16_000, 1)
    before, after = noise(1_000), noise(1_000)
    fill(buffer, before)
    buffer.add(AudioGap(500, "dropped"))
    fill(buffer, after)
    _, samples = read(buffer, 0, 10_000)
    expected = np.concatenate([before, np.zeros(16 * 500, np.float32), after])
    np.testing.assert_allclose(samples, expected, atol=1 / 32_768)


def test_a_gap_longer_than_the_buffer_costs_no_memory() -> None:
    buffer = AudioRingBuffer(2, 16_000, 1)
    fill(buffer, noise(1_000))
    buffer.add(AudioGap(24 * 3_600_000, "asleep"))
    fill(buffer, noise(1_000))
    assert buffer.span_ms == (24 * 3_600_000, 24 * 3_600_000 + 2_000)
    _, samples = read(buffer, 24 * 3_600_000, 24 * 3_600_000 + 1_000)
    assert not samples.any()


def test_stereo_at_another_rate_is_converted_as_for_the_models() -> None:
    buffer = AudioRingBuffer(10, 48_000, 2)
    left, right = (RNG.uniform(-0.4, 0.4, 48 * 2_000).astype(np.float32) for _ in range(2))
    stereo = np.stack([left, right], axis=1)
    for first in range(0, len(stereo), 4_800):
        buffer.add(Pcm(stereo[first : first + 4_800]))
    start_ms, samples = read(buffer, 0, 1_900)
    expected = soxr.resample((left + right) / 2, 48_000, 16_000)[: 16 * 1_900]
    assert start_ms == 0
    np.testing.assert_allclose(samples, expected, atol=2e-3)


async def test_the_server_returns_the_audio_of_a_stream_by_name() -> None:
    buffer = AudioRingBuffer(10, 16_000, 1)
    audio = voice(3_000)
    fill(buffer, audio)
    own = replace(PublishedStream("my tape/1", "A tape"), audio=buffer)
    path = f"/v1/streams/{quote(own.name, safe='')}/audio"
    async with serving(streams=[own]) as server:
        status, headers, body = await get(server, f"{path}?from_ms=500&to_ms=1500")
        assert (status, headers["Content-Type"], headers["Emostream-From-Ms"]) == (200, "audio/wav", "500")
        assert headers["Cache-Control"] == "no-store"
        samples, _ = soundfile.read(io.BytesIO(body), dtype="float32")
        np.testing.assert_allclose(samples, audio[8_000:24_000], atol=1 / 32_768)
        assert (await get(server, f"{path}?from_ms=9000&to_ms=9500"))[0] == 204


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/streams/demo/audio?from_ms=0&to_ms=9", 404),  # has no buffer
        ("/v1/streams/unknown/audio?from_ms=0&to_ms=9", 404),
        ("/v1/streams/tape/audio", 400),
        ("/v1/streams/tape/audio?from_ms=a&to_ms=9", 400),
        ("/v1/streams/tape/audio?from_ms=0&to_ms=9", 204),  # nothing received yet
        ("/v1/streams/tape/audio/more?from_ms=0&to_ms=9", 404),
    ],
)
async def test_a_span_that_is_not_kept_is_reported_as_missing(path: str, status: int) -> None:
    streams = [
        PublishedStream("demo", "A recording"),
        PublishedStream("tape", "A tape", audio=AudioRingBuffer(1, 16_000, 1)),
    ]
    async with serving(streams=streams) as server:
        assert (await get(server, path))[0] == status
