"""Results of recordings side by side are written one recording after the other."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from emostream.streamer.pipeline.session import Sink
from emostream.streamer.protocol import messages
from emostream.streamer.replay.discovery import ReplayJob
from emostream.streamer.replay.ordered_sinks import OrderedSinks
from emostream.streamer.replay.outputs import ReplayOutcome


class ListDocument:
    """Keeps what is written: (recording, number of the event)."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []

    def add(self, recording: str) -> Sink:
        document = self

        class Numbers:
            async def send(self, event: messages.ServerEvent) -> None:
                assert isinstance(event, messages.SpeechStarted)
                document.written.append((recording, event.utterance))

        return Numbers()

    def close(self) -> None:
        pass


def started(number: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=number, start_ms=0)


def opened(document: ListDocument) -> tuple[OrderedSinks, list[ReplayJob]]:
    return OrderedSinks(document), [ReplayJob(Path(name), name) for name in "abc"]


async def test_the_first_is_written_as_it_comes_and_the_others_after_it() -> None:
    document = ListDocument()
    sinks, jobs = opened(document)
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        a = await first.enter_async_context(sinks.open(jobs[0], ReplayOutcome(jobs[0])))
        b = await second.enter_async_context(sinks.open(jobs[1], ReplayOutcome(jobs[1])))
        await b.send(started(1))
        await a.send(started(1))
        await a.send(started(2))
        assert document.written == [("a", 1), ("a", 2)]
        await first.aclose()
        assert document.written == [("a", 1), ("a", 2), ("b", 1)]
        await b.send(started(2))
        assert document.written[-1] == ("b", 2)


async def test_a_recording_that_ended_early_waits_for_those_before_it() -> None:
    document = ListDocument()
    sinks, jobs = opened(document)
    async with sinks.open(jobs[0], ReplayOutcome(jobs[0])) as a:
        for job in jobs[1:]:
            async with sinks.open(job, ReplayOutcome(job)) as later:
                await later.send(started(1))
        assert document.written == []
        await a.send(started(1))
    assert document.written == [("a", 1), ("b", 1), ("c", 1)]


async def test_a_recording_without_events_is_begun_in_its_turn_and_holds_nothing_up() -> None:
    document = ListDocument()
    sinks, jobs = opened(document)
    async with AsyncExitStack() as first:
        await first.enter_async_context(sinks.open(jobs[0], ReplayOutcome(jobs[0])))
        async with sinks.open(jobs[1], ReplayOutcome(jobs[1])) as b:
            await b.send(started(1))
        await first.aclose()
    assert document.written == [("b", 1)]
