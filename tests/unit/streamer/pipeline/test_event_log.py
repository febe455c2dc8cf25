"""The event log: events in order, without holes, and what a slow reader may do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from emostream.streamer.errors import SlowConsumerError
from emostream.streamer.pipeline.event_log import MAX_UNREAD, EventLog, EventReader
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event

CLOSED = messages.Closed(
    reason="end_of_stream", totals=messages.Totals(audio_ms=0, utterances=0, dropped_ms=0)
)


def speech(utterance: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=utterance, start_ms=0)


def filled(count: int, *, keep: int = 200) -> EventLog:
    event_log = EventLog("s", keep=keep)
    for utterance in range(count):
        event_log.append(speech(utterance))
    return event_log


async def test_a_reader_that_fell_behind_sees_no_hole() -> None:
    event_log = EventLog("s")
    seen: list[int] = []
    with event_log.reader(policy="drop_slow", capacity=2) as reader:
        for i in range(3):
            event_log.append(speech(i))
        reading = aiter(reader)
        seen.append((await anext(reading)).seq)
        event_log.append(speech(3))  # there would be room again, but 3 is gone
        event_log.append(CLOSED)
        with pytest.raises(SlowConsumerError):
            while True:
                seen.append((await anext(reading)).seq)
    assert seen == [1, 2]


async def test_a_late_reader_gets_the_last_events_and_the_end() -> None:
    event_log = filled(5, keep=3)
    event_log.append(CLOSED)
    with event_log.reader(policy="drop_slow", capacity=1) as reader:
        assert [event.seq async for event in reader] == [4, 5, 6]


async def test_kept_events_are_those_that_were_appended() -> None:
    """They are kept encoded."""
    event_log, word = EventLog("s"), messages.Word(text="Zażółć", start_ms=0, end_ms=100, confidence=0.1)
    voice = messages.EnrolledVoice(total=b"\x00\xff", weight=1 / 3, utterances=1, probe=b"")
    appended = [
        event_log.append(event)
        for event in (
            speech(1),
            msgspec.structs.replace(emotion_event(1, "angry"), text=word.text, words=(word, word)),
            messages.NoEmotion(utterance=2, start_ms=0, end_ms=1, reason="no_speech", speech=0.1 + 0.2),
            messages.Dropped(ms=10, reason="late", at_ms=7),
            messages.Error(code="x", message="y", fatal=False),
            msgspec.structs.replace(CLOSED, speaker=voice),
        )
    ]
    with event_log.reader(1, policy="block") as reader:
        assert [event async for event in reader] == appended[1:]


async def test_the_last_event_is_appended_once() -> None:
    event_log = EventLog("s")
    event_log.end(CLOSED)
    event_log.end(CLOSED)
    with event_log.reader(policy="drop_slow", capacity=1) as reader:
        assert [event.seq async for event in reader] == [1]


@pytest.mark.parametrize(("last_seq", "lost"), [(0, 1), (1, 2), (2, None), (5, None)])
def test_dropped_events_are_reported(last_seq: int, lost: int | None) -> None:
    assert filled(5, keep=3).lost_from(last_seq) == lost


@pytest.mark.parametrize("last_seq", [0, 2, 4, 5])
async def test_a_reader_continues_after_its_position(last_seq: int) -> None:
    event_log = filled(5)
    with event_log.reader(last_seq, policy="block") as reader:
        event_log.append(CLOSED)
        assert [event.seq async for event in reader] == list(range(last_seq + 1, 7))


async def test_a_blocking_reader_holds_the_session_back_until_it_reads() -> None:
    event_log = EventLog("s")
    with event_log.reader(policy="block") as reader:
        for i in range(MAX_UNREAD):
            await event_log.drain()
            event_log.append(speech(i))
        draining = asyncio.create_task(event_log.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        reader.pop()
        await draining


async def test_a_session_runs_on_when_its_reader_is_gone() -> None:
    event_log = EventLog("s", keep=3)
    with event_log.reader(policy="block"):
        for i in range(2 * MAX_UNREAD):
            event_log.append(speech(i))
        draining = asyncio.create_task(event_log.drain())
        await asyncio.sleep(0)
        assert not draining.done()
    await draining
    event_log.append(speech(0))
    await event_log.drain()


async def test_a_slow_subscriber_never_holds_the_session_back() -> None:
    event_log = EventLog("s")
    with event_log.reader(policy="drop_slow", capacity=10) as reader:
        for i in range(10 * MAX_UNREAD):
            event_log.append(speech(i))
            await event_log.drain()
        assert reader.unread == 10


async def test_a_closed_log_ends_its_readers_without_a_last_event() -> None:
    event_log = filled(2)
    with event_log.reader(policy="block") as reader:
        waiting = asyncio.create_task(_all(reader))
        await asyncio.sleep(0)
        event_log.close()
        assert await waiting == [1, 2]


async def _all(reader: EventReader) -> list[int]:
    return [event.seq async for event in reader]
