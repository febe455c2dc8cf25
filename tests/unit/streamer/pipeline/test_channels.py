"""A session with several channels: one clock, one event log, a speaker on each."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import Channels, SegmenterSettings
from emostream.streamer.errors import SourceError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.recording_baseline import first_pass, second_pass_settings
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from tests.support.fakes import AdaptiveRecognizer, FakeTranscriber, LoudnessVad, silence, voice
from tests.support.streams import ListSink, ListSource, finals

AGENT = np.concatenate([silence(500), voice(1_000), silence(2_500), voice(1_000, seed=1), silence(1_000)])
CALLER = np.concatenate([silence(1_000), voice(2_500, seed=2, level=0.2), silence(2_500)])
SPANS = {1: [(500, 1_500), (4_000, 5_000)], 2: [(1_000, 3_500)]}


def stereo(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], axis=1)


CALL = stereo(AGENT, CALLER)


class StereoSource(ListSource):
    channels = 2


async def run(
    items: list[Item],
    channels: Channels = "split",
    recognizer: AdaptiveRecognizer | None = None,
    *,
    speculate: bool = False,
) -> list[messages.ServerEvent]:
    engine, sink = Engine(FakeTranscriber(), recognizer or AdaptiveRecognizer(), WallClock()), ListSink()
    chosen = SessionSettings(SegmenterSettings(), channels=channels, speculate=speculate)
    source, log = StereoSource(items), EventLog("test")
    async with engine.running():
        await Session(source, LoudnessVad, engine, log, [sink], chosen, WallClock()).run()
    return sink.events


def spans(seen: list[messages.ServerEvent], channel: int | None) -> list[tuple[int, int]]:
    return [(one.start_ms, one.end_ms) for one in finals(seen) if one.channel == channel]


def pieces(block: Samples, samples: int) -> list[Item]:
    return [Pcm(block[first : first + samples]) for first in range(0, len(block), samples)]


def without_times(seen: list[messages.ServerEvent]) -> list[object]:
    """What is the same however the audio came: starts and finals, each in their order."""
    started = [event for event in seen if isinstance(event, messages.SpeechStarted)]
    results = [
        (one.utterance, one.channel, one.start_ms, one.end_ms, one.text, one.probabilities, one.words)
        for one in finals(seen)
    ]
    return [[(one.utterance, one.channel, one.start_ms) for one in started], results]


async def test_each_channel_has_its_utterances_at_their_times() -> None:
    seen = await run([Pcm(CALL)])
    assert {channel: spans(seen, channel) for channel in SPANS} == SPANS
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.totals == messages.Totals(audio_ms=6_000, utterances=3, dropped_ms=0)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))


async def test_utterance_numbers_are_those_of_the_session() -> None:
    """In the order in which speech began; finals in the order in which it ended."""
    seen = await run([Pcm(CALL)])
    started = [event for event in seen if isinstance(event, messages.SpeechStarted)]
    assert [(one.utterance, one.channel) for one in started] == [(1, 1), (2, 2), (3, 1)]
    assert [(one.utterance, one.channel) for one in finals(seen)] == [(1, 1), (2, 2), (3, 1)]
    late = stereo(CALLER, AGENT)
    ended = [one.utterance for one in finals(await run([Pcm(late)]))]
    assert ended == [1, 2, 3]


@pytest.mark.parametrize("speculate", [False, True])
@pytest.mark.parametrize("samples", [1_600, 441, 64_000])
async def test_results_do_not_depend_on_the_blocks(samples: int, speculate: bool) -> None:
    expected = without_times(await run([Pcm(CALL)]))
    assert without_times(await run(pieces(CALL, samples), speculate=speculate)) == expected


async def test_a_channel_is_judged_as_if_it_were_alone() -> None:
    """Its own baseline, and the other voice in none of its utterances."""
    both = await run([Pcm(CALL)])
    for channel, sound in ((1, AGENT), (2, CALLER)):
        alone = await run([Pcm(stereo(sound, 0 * sound))], 1)
        kept = [one for one in finals(both) if one.channel == channel]
        assert [(one.start_ms, one.probabilities, one.baseline_utterances, one.text) for one in kept] == [
            (one.start_ms, one.probabilities, one.baseline_utterances, one.text) for one in finals(alone)
        ]


async def test_channels_are_batched_together() -> None:
    recognizer = AdaptiveRecognizer()
    await run([Pcm(stereo(AGENT, AGENT))], recognizer=recognizer)
    assert max(recognizer.batches) == 2


async def test_one_channel_alone() -> None:
    seen = await run([Pcm(CALL)], 2)
    assert spans(seen, 2) == SPANS[2]
    assert len(finals(seen)) == 1
    mixed = await run([Pcm(CALL)], "mix")
    assert {one.channel for one in finals(mixed)} == {None}


async def test_a_flush_and_a_gap_are_those_of_all_channels() -> None:
    block = stereo(voice(1_000), voice(1_000, seed=1))
    seen = await run([Pcm(block), Flush(), Pcm(block), AudioGap(5_000, "testing"), Pcm(block)])
    for channel in (1, 2):
        assert [start for start, _ in spans(seen, channel)] == pytest.approx([0, 1_000, 7_000], abs=20)
    assert [event.at_ms for event in seen if isinstance(event, messages.Dropped)] == [2_000]


async def test_a_whole_recordings_baselines_are_those_of_its_channels() -> None:
    engine, sink, clock = (
        Engine(FakeTranscriber(), AdaptiveRecognizer(), WallClock()),
        ListSink(),
        WallClock(),
    )
    settings = SessionSettings(SegmenterSettings(), channels="split")
    async with engine.running():
        first = first_pass(StereoSource([Pcm(CALL)]), LoudnessVad, engine, settings, clock)
        await first.run()
        settings = second_pass_settings(settings, first.speakers)
        source = StereoSource([Pcm(CALL)])
        await Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, clock).run()
    assert [None if one is None else one.utterances for one in first.speakers] == [2, 1]
    assert {(one.channel, one.baseline_utterances) for one in finals(sink.events)} == {(1, 2), (2, 1)}


def errors(seen: list[messages.ServerEvent]) -> list[tuple[str, bool]]:
    return [(event.code, event.fatal) for event in seen if isinstance(event, messages.Error)]


async def test_channels_that_cancel_are_reported_once() -> None:
    seen = await run(pieces(stereo(AGENT, -AGENT), 1_600), "mix")
    assert spans(seen, None) == SPANS[1]
    assert errors(seen) == [("channels_cancel", False)]
    assert errors(await run([Pcm(stereo(AGENT, -AGENT))], "split")) == []


async def test_a_silent_channel_beside_a_loud_one_is_reported() -> None:
    quiet = stereo(0 * CALLER, CALLER)
    assert errors(await run([Pcm(quiet)], 1)) == [("silent_track", False)]
    assert errors(await run([Pcm(quiet)], 2)) == []
    assert errors(await run([Pcm(0 * quiet)], 1)) == []


@pytest.mark.parametrize("channels", [3, 100])
def test_a_channel_that_there_is_not(channels: int) -> None:
    engine = Engine(None, AdaptiveRecognizer(), WallClock())
    settings = SessionSettings(SegmenterSettings(), channels=channels)
    with pytest.raises(SourceError, match=f"expected a channel of 1 to 2 .* got {channels}"):
        Session(StereoSource([]), LoudnessVad, engine, EventLog("test"), [], settings, WallClock())
