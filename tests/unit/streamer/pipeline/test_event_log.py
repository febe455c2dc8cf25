"""Events fanned out: in order, without holes, without waiting for anybody."""

from __future__ import annotations

import pytest

from emostream.streamer.errors import SlowConsumerError
from emostream.streamer.pipeline.event_log import Hub
from emostream.streamer.protocol import messages

CLOSED = messages.Closed(
    reason="end_of_stream", totals=messages.Totals(audio_ms=0, utterances=0, dropped_ms=0)
)


def speech(utterance: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=utterance, start_ms=0)


async def test_a_reader_that_fell_behind_sees_no_hole() -> None:
    hub = Hub("s")
    seen: list[int] = []
    with hub.subscribe(capacity=2) as watcher:
        for i in range(3):
            hub.publish(speech(i))
        reading = aiter(watcher)
        seen.append((await anext(reading)).seq)
        hub.publish(speech(3))  # there would be room again, but 3 is gone
        hub.publish(CLOSED)
        with pytest.raises(SlowConsumerError):
            while True:
                seen.append((await anext(reading)).seq)
    assert seen == [1, 2]


async def test_a_late_reader_gets_the_last_events_and_the_end() -> None:
    hub = Hub("s", keep=3)
    for i in range(5):
        hub.publish(speech(i))
    hub.publish(CLOSED)
    with hub.subscribe(capacity=1) as watcher:
        assert [event.seq async for event in watcher] == [4, 5, 6]


async def test_the_last_word_is_said_once() -> None:
    hub = Hub("s")
    hub.end(CLOSED)
    hub.end(CLOSED)
    with hub.subscribe(capacity=1) as watcher:
        assert [event.seq async for event in watcher] == [1]
