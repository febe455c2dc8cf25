"""What is kept of a stream's sound, and how it is asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
import soxr

from emostream.streamer.audio.sources import AudioGap, Pcm
from emostream.streamer.audio.tee import MAX_WAV_MS, AudioRingBuffer
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.fakes import voice
from tests.support.serving import get, serving

RNG = np.random.default_rng(1)


def noise(ms: int) -> np.ndarray:
    return RNG.uniform(-0.5, 0.5, 16 * ms).astype(np.float32)


def heard(kept: AudioRingBuffer, from_ms: int, to_ms: int) -> tuple[int, np.ndarray]:
    """Read with somebody else's reader."""
    found = kept.wav(from_ms, to_ms)
    assert found is not None
    samples, rate = soundfile.read(io.BytesIO(found[1]), dtype="float32")
    assert rate == 16_000
    return found[0], samples


def given(kept: AudioRingBuffer, samples: np.ndarray, block: int = 1_600) -> None:
    for first in range(0, len(samples), block):
        kept.take(Pcm(samples[first : first + block, None]))


def test_a_span_is_what_was_said_then() -> None:
    kept = AudioRingBuffer(10, 16_000, 1)
    sound = noise(4_000)
    given(kept, sound, block=777)
    begins, samples = heard(kept, 1_234, 2_500)
    assert begins == 1_234
    np.testing.assert_allclose(samples, sound[16 * 1_234 : 16 * 2_500], atol=1 / 32_768)


def test_the_oldest_goes_first_and_what_is_asked_beyond_is_cut() -> None:
    kept = AudioRingBuffer(2, 16_000, 1)
    sound = noise(5_000)
    given(kept, sound)
    assert kept.span_ms == (3_000, 5_000)
    begins, samples = heard(kept, 0, 99_000)
    assert begins == 3_000
    np.testing.assert_allclose(samples, sound[16 * 3_000 :], atol=1 / 32_768)
    assert kept.wav(0, 3_000) is None
    assert kept.wav(5_000, 6_000) is None
    assert kept.wav(4_000, 4_000) is None


def test_memory_is_bounded() -> None:
    kept = AudioRingBuffer(1, 16_000, 1)
    for _ in range(100):
        given(kept, noise(100))
    assert len(kept._seconds) <= 2


def test_no_answer_is_longer_than_a_minute() -> None:
    kept = AudioRingBuffer(100, 16_000, 1)
    given(kept, np.zeros(16 * 90_000, np.float32), block=16_000)
    begins, samples = heard(kept, 5_000, 90_000)
    assert (begins, len(samples)) == (5_000, 16 * MAX_WAV_MS)


def test_lost_sound_is_silence_of_its_length() -> None:
    kept = AudioRingBuffer(10, 16_000, 1)
    before, after = noise(1_000), noise(1_000)
    given(kept, before)
    kept.take(AudioGap(500, "dropped"))
    given(kept, after)
    _, samples = heard(kept, 0, 10_000)
    expected = np.concatenate([before, np.zeros(16 * 500, np.float32), after])
    np.testing.assert_allclose(samples, expected, atol=1 / 32_768)


def test_a_hole_longer_than_what_is_kept_costs_no_memory() -> None:
    kept = AudioRingBuffer(2, 16_000, 1)
    given(kept, noise(1_000))
    kept.take(AudioGap(24 * 3_600_000, "asleep"))
    given(kept, noise(1_000))
    assert kept.span_ms == (24 * 3_600_000, 24 * 3_600_000 + 2_000)
    _, samples = heard(kept, 24 * 3_600_000, 24 * 3_600_000 + 1_000)
    assert not samples.any()


def test_stereo_at_another_rate_is_heard_as_the_models_hear_it() -> None:
    kept = AudioRingBuffer(10, 48_000, 2)
    left, right = (RNG.uniform(-0.4, 0.4, 48 * 2_000).astype(np.float32) for _ in range(2))
    stereo = np.stack([left, right], axis=1)
    for first in range(0, len(stereo), 4_800):
        kept.take(Pcm(stereo[first : first + 4_800]))
    begins, samples = heard(kept, 0, 1_900)
    expected = soxr.resample((left + right) / 2, 48_000, 16_000)[: 16 * 1_900]
    assert begins == 0
    np.testing.assert_allclose(samples, expected, atol=2e-3)


async def test_the_server_gives_it_by_name() -> None:
    kept = AudioRingBuffer(10, 16_000, 1)
    sound = voice(3_000)
    given(kept, sound)
    own = replace(PublishedStream("my tape/1", "A tape"), audio=kept)
    path = f"/v1/streams/{quote(own.name, safe='')}/audio"
    async with serving(streams=[own]) as server:
        status, headers, body = await get(server, f"{path}?from_ms=500&to_ms=1500")
        assert (status, headers["Content-Type"], headers["Emostream-From-Ms"]) == (200, "audio/wav", "500")
        assert headers["Cache-Control"] == "no-store"
        samples, _ = soundfile.read(io.BytesIO(body), dtype="float32")
        np.testing.assert_allclose(samples, sound[8_000:24_000], atol=1 / 32_768)
        assert (await get(server, f"{path}?from_ms=9000&to_ms=9500"))[0] == 204


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/streams/demo/audio?from_ms=0&to_ms=9", 404),  # keeps none
        ("/v1/streams/nobody/audio?from_ms=0&to_ms=9", 404),
        ("/v1/streams/tape/audio", 400),
        ("/v1/streams/tape/audio?from_ms=a&to_ms=9", 400),
        ("/v1/streams/tape/audio?from_ms=0&to_ms=9", 204),  # nothing said yet
        ("/v1/streams/tape/audio/more?from_ms=0&to_ms=9", 404),
    ],
)
async def test_what_is_not_there_is_not_given(path: str, status: int) -> None:
    streams = [
        PublishedStream("demo", "A recording"),
        PublishedStream("tape", "A tape", audio=AudioRingBuffer(1, 16_000, 1)),
    ]
    async with serving(streams=streams) as server:
        assert (await get(server, path))[0] == status
