"""Flush, stop and gaps take effect at their positions, however the audio is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm
from emostream.streamer.errors import FlowControlError, NotPcmError, ProtocolError
from emostream.streamer.protocol import messages
from emostream.streamer.server.websocket_source import WebSocketSource

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)


class Acks:
    def __init__(self) -> None:
        self.samples: list[int] = []

    def __call__(self, samples: int) -> None:
        self.samples.append(samples)


def source(acks: Acks | None = None, max_unacked_ms: int = 5_000) -> WebSocketSource:
    return WebSocketSource(START, max_unacked_ms, acks or Acks())


def audio(samples: int) -> bytes:
    return np.arange(samples, dtype="<i2").tobytes()


async def all_items(stream: WebSocketSource) -> list[Item]:
    return [item async for item in stream.items()]


def outline(items: Sequence[Item]) -> list[int | str]:
    """Samples between the marks, and the marks: what does not depend on the message sizes."""
    out: list[int | str] = [0]
    for item in items:
        if isinstance(item, Pcm):
            if isinstance(out[-1], str):
                out.append(0)
            out[-1] = int(out[-1]) + len(item.block)
        else:
            out.append(type(item).__name__)
    return out


@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=12),
    st.lists(st.integers(0, 2_000), max_size=6, unique=True),
    st.data(),
)
async def test_flushes_take_effect_at_their_positions(
    sizes: list[int], marks: list[int], data: st.DataObject
) -> None:
    """Sent ahead of the audio or after it, in any order: the session has taken nothing yet, so they fit."""
    total = sum(sizes)
    flushes = sorted(mark for mark in marks if mark <= total)
    stream = source(max_unacked_ms=60_000)
    sent: list[int | bytes] = [*(audio(size) for size in sizes), *flushes]
    for message in data.draw(st.permutations(sent)):
        if isinstance(message, bytes):
            stream.feed(message)
        else:
            stream.handle(messages.Flush(at_samples=message))
    stream.handle(messages.Stop(at_samples=total))
    expected: list[int | str] = [0]
    for start, end in zip([0, *flushes], [*flushes, total], strict=True):
        if end > start:
            if isinstance(expected[-1], str):
                expected.append(0)
            expected[-1] = end - start
        if end in flushes and expected.count("Flush") < flushes.index(end) + 1:
            expected.append("Flush")
    assert outline(await all_items(stream)) == expected


async def test_a_stop_after_its_position_still_cuts_there() -> None:
    stream = source()
    stream.feed(audio(1_000))
    stream.handle(messages.Stop(at_samples=600))
    stream.feed(audio(1_000))
    assert outline(await all_items(stream)) == [600]


async def test_adjacent_gaps_are_one() -> None:
    stream = source()
    for _ in range(1_000):
        stream.handle(messages.Gap(ms=100))
    stream.stop()
    assert await all_items(stream) == [AudioGap(100_000, "the client dropped it")]


async def test_a_gap_says_why_the_client_sends_nothing() -> None:
    stream = source()
    for ms, reason in ((100, "a pause"), (200, "a pause"), (300, None)):
        stream.handle(messages.Gap(ms=ms, reason=reason))
    stream.stop()
    assert await all_items(stream) == [AudioGap(300, "a pause"), AudioGap(300, "the client dropped it")]


@pytest.mark.parametrize("reason", ["", "x" * 101])
def test_the_reason_of_a_gap_is_bounded(reason: str) -> None:
    with pytest.raises(ProtocolError, match=r"1 to 100 characters, got"):
        source().handle(messages.Gap(ms=1, reason=reason))


def test_a_flood_of_marks_is_rejected() -> None:
    stream = source()
    with pytest.raises(FlowControlError, match="slow down"):
        for at in range(1, 200):
            stream.handle(messages.Flush(at_samples=at))
    stream = source()
    with pytest.raises(FlowControlError, match="slow down"):
        for i in range(200):
            stream.warn("x", str(i))


@pytest.mark.parametrize(
    ("max_unacked_ms", "expected"),
    [
        pytest.param(5_000, [16_000, 32_000, 40_000], id="every second, and in the end"),
        pytest.param(2_500, [8_000, 16_000, 24_000, 32_000, 40_000], id="five times in a small credit"),
    ],
)
async def test_what_the_session_has_taken_is_acknowledged(max_unacked_ms: int, expected: list[int]) -> None:
    acks = Acks()
    stream = source(acks, max_unacked_ms=max_unacked_ms)
    for _ in range(25):
        stream.feed(audio(1_600))
    stream.stop()
    await all_items(stream)
    assert acks.samples == expected


def test_credit_is_one_message_past_the_limit() -> None:
    stream = source(max_unacked_ms=100)
    stream.feed(audio(1_600))
    stream.feed(audio(1))  # the limit is reached, not passed
    with pytest.raises(FlowControlError, match="at most 100 ms"):
        stream.feed(audio(1))


async def test_a_long_stream_of_flushes_is_bounded() -> None:
    stream = source()
    items = stream.items()
    for at in range(1_600, 1_600 * 300, 1_600):
        stream.feed(audio(1_600))
        for _ in range(2):  # sent again, it is one
            stream.handle(messages.Flush(at_samples=at))
        assert isinstance(await anext(items), Pcm)
        assert isinstance(await anext(items), Flush)
    assert len(stream._flushes) <= 2
    stream.handle(messages.Flush(at_samples=1_600))  # long done
    stream.stop()
    assert [item async for item in items] == []


async def test_the_flush_items_are_flushes() -> None:
    stream = source()
    stream.handle(messages.Flush(at_samples=0))
    stream.handle(messages.Flush(at_samples=0))
    stream.stop()
    assert await all_items(stream) == [Flush()]


@pytest.mark.parametrize("size", [1, 3, 1_000])
async def test_a_file_in_place_of_samples_ends_the_stream_however_it_is_cut(size: int) -> None:
    stream = source()
    data = b"\x1aE\xdf\xa3" + bytes(2_000)
    for first in range(0, len(data), size):
        stream.feed(data[first : first + size])
    with pytest.raises(NotPcmError, match=r"expected pcm_s16le samples, got the bytes of a file \(WebM"):
        await all_items(stream)


async def test_what_looks_like_a_file_later_is_audio() -> None:
    stream = source()
    stream.feed(audio(8_192))
    stream.feed(b"OggS" + bytes(1_996))
    stream.stop()
    assert outline(await all_items(stream)) == [9_192]


async def test_without_a_position_flush_and_stop_mean_now() -> None:
    stream = source()
    stream.feed(audio(300))
    stream.handle(messages.Flush())
    stream.feed(audio(200))
    stream.handle(messages.Flush())
    stream.handle(messages.Flush())  # nothing new to flush
    stream.feed(audio(100))
    stream.handle(messages.Stop())
    stream.feed(audio(100))
    assert outline(await all_items(stream)) == [300, "Flush", 200, "Flush", 100]


async def test_what_waits_is_told_until_its_audio_has_come() -> None:
    acks = Acks()
    stream = source(acks)
    waiting = []

    def note() -> None:
        waiting.append((len(acks.samples), stream.waiting_samples))

    stream.feed(audio(100))
    stream.handle(messages.Flush(at_samples=100))
    note()
    stream.handle(messages.Stop(at_samples=500))
    note()
    stream.handle(messages.Flush(at_samples=200))
    note()
    stream.feed(audio(150))
    note()
    stream.feed(audio(250))
    note()
    # Each change is a reason for an ack.
    assert waiting == [(0, None), (1, 500), (2, 200), (3, 500), (4, None)]
    assert outline(await all_items(stream)) == [100, "Flush", 100, "Flush", 300]
