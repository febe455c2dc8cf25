"""A session with fake models: events, failures, gaps, flushes, the same for any cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from emostream.streamer.audio.frontend import Samples
from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm, SourceWarning
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SegmenterSettings
from emostream.streamer.errors import SourceError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.protocol import messages
from tests.support.demo_speech import demo_speech
from tests.support.fakes import FakeRecognizer, FakeTranscriber, LoudnessVad, silence, voice
from tests.support.streams import ListSink, ListSource, comparable, finals, kinds


async def run(
    source: ListSource,
    *,
    transcriber: FakeTranscriber | None = None,
    recognizer: FakeRecognizer | None = None,
    segmenter: SegmenterSettings | None = None,
    sink: ListSink | None = None,
) -> list[messages.ServerEvent]:
    clock = WallClock()
    engine = Engine(transcriber, recognizer or FakeRecognizer(), clock)
    sink = sink or ListSink()
    settings = SessionSettings(segmenter=segmenter or SegmenterSettings())
    session = Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, clock)
    async with engine.running():
        await session.run()
    return sink.events


def pcm(*parts: Samples) -> Pcm:
    return Pcm(np.concatenate(parts)[:, np.newaxis])


TWO = (silence(500), voice(1_000), silence(900), voice(600, seed=1), silence(700))


async def test_two_utterances() -> None:
    seen = await run(ListSource([pcm(*TWO)]), transcriber=FakeTranscriber())
    assert sorted(kinds(seen)) == ["Closed", "Emotion", "Emotion", "SpeechStarted", "SpeechStarted"]
    assert [event.seq for event in seen] == [1, 2, 3, 4, 5]
    first, second = finals(seen)
    assert (first.utterance, first.start_ms, first.end_ms) == (1, 500, 1_500)
    assert (second.utterance, second.start_ms, second.end_ms) == (2, 2_400, 3_000)
    # 200 ms of pre-roll and 200 ms of tail around one second; the words' times are the stream's.
    assert first.text == "1400 milliseconds"
    assert [(word.start_ms, word.end_ms, word.confidence) for word in first.words] == [
        (300, 310, 0.5),
        (310, 320, None),
    ]
    assert first.probabilities == first.text_only
    assert first.reason == second.reason == "silence"
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.reason == "end_of_stream"
    assert closed.totals == messages.Totals(audio_ms=3_700, utterances=2, dropped_ms=0)


async def test_without_a_transcriber_there_are_no_words_which_is_no_reason_for_doubt() -> None:
    first, _ = finals(await run(ListSource([pcm(*TWO)])))
    assert (first.text, first.words, first.text_only, first.language) == ("", (), None, None)
    assert first.uncertain == ()


@pytest.mark.parametrize("size", [1, 160, 320, 1_000, 1_000_000])
async def test_blocks_do_not_matter(size: int) -> None:
    samples = np.concatenate(TWO)[:, np.newaxis]
    blocks = [Pcm(samples[start : start + size]) for start in range(0, len(samples), size)]
    reference = await run(ListSource([Pcm(samples)]), transcriber=FakeTranscriber())
    assert comparable(await run(ListSource(blocks), transcriber=FakeTranscriber())) == comparable(reference)


async def test_silence_has_no_utterances_and_ends_well() -> None:
    seen = await run(ListSource([pcm(silence(2_000))]))
    assert kinds(seen) == ["Closed"]


async def test_a_stream_without_a_sample_ends_well() -> None:
    assert kinds(await run(ListSource([]))) == ["Closed"]


async def test_an_utterance_on_which_a_model_fails_is_an_error_and_the_next_one_has_its_final() -> None:
    seen = await run(ListSource([pcm(*TWO)]), recognizer=FakeRecognizer(fails_on=[1_400]))
    (error,) = [event for event in seen if isinstance(event, messages.Error)]
    assert (error.code, error.fatal) == ("analysis_failed", False)
    assert error.utterance == 1
    assert [final.utterance for final in finals(seen)] == [2]


async def test_an_utterance_whose_transcription_fails_is_classified_from_audio_only() -> None:
    seen = await run(ListSource([pcm(*TWO)]), transcriber=FakeTranscriber(fails_on=[1_400]))
    (error,) = [event for event in seen if isinstance(event, messages.Error)]
    assert (error.code, error.fatal) == ("transcription_failed", False)
    first, second = finals(seen)
    assert first.uncertain == ("no_text",)
    assert second.text == "1000 milliseconds"


async def test_the_finals_of_a_source_that_fails_are_delivered_first() -> None:
    broken = ListSource([pcm(silence(500), voice(1_000))], SourceError("the cable is out"))
    sink = ListSink()
    with pytest.raises(SourceError, match="the cable is out"):
        await run(broken, sink=sink)
    seen = sink.events
    assert kinds(seen) == ["SpeechStarted", "Emotion", "Error", "Closed"]
    assert isinstance(seen[2], messages.Error)
    assert seen[2].fatal
    assert isinstance(seen[3], messages.Closed)
    assert seen[3].reason == "error"


async def test_flush_ends_the_utterance_there() -> None:
    seen = await run(ListSource([pcm(silence(500), voice(1_000)), Flush(), pcm(voice(1_000, seed=1))]))
    assert [(final.reason, final.start_ms, final.end_ms) for final in finals(seen)] == [
        ("flush", 500, 1_500),
        ("end_of_stream", 1_500, 2_500),
    ]


@pytest.mark.parametrize("lost_ms", [5_000, 5_003, 3_600_000])
async def test_a_long_gap_moves_the_clock_and_is_reported(lost_ms: int) -> None:
    items: list[Item] = [
        pcm(silence(500), voice(1_000)),
        AudioGap(lost_ms, "testing"),
        pcm(voice(1_000, seed=1)),
    ]
    seen = await run(ListSource(items))
    (dropped,) = [event for event in seen if isinstance(event, messages.Dropped)]
    assert (dropped.ms, dropped.reason) == (lost_ms, "testing")
    first, second = finals(seen)
    assert (first.start_ms, first.end_ms, first.reason) == (500, 1_500, "silence")
    assert abs(second.start_ms - (1_500 + lost_ms)) <= 20  # a frame
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.totals.dropped_ms == lost_ms
    assert closed.totals.audio_ms == 2_500 + lost_ms


async def test_many_odd_gaps_lose_no_time() -> None:
    """719 ms is not a whole number of frames: twenty of them are 14.38 s all the same."""
    seen = await run(ListSource([*[AudioGap(719, "testing")] * 20, pcm(silence(1_000), voice(1_000))]))
    (final,) = finals(seen)
    assert abs(final.start_ms - (20 * 719 + 1_000)) <= 20


async def test_a_short_gap_does_not_split_an_utterance() -> None:
    items: list[Item] = [
        pcm(silence(500), voice(1_000)),
        AudioGap(100, "testing"),
        pcm(voice(1_000, seed=1), silence(600)),
    ]
    (final,) = finals(await run(ListSource(items)))
    assert (final.start_ms, final.end_ms) == (500, 2_600)


async def test_samples_that_are_not_finite_are_reported_once() -> None:
    poisoned = np.concatenate(TWO)
    poisoned[100] = poisoned[9_000] = np.nan
    seen = await run(ListSource([Pcm(poisoned[:8_000, None]), Pcm(poisoned[8_000:, None])]))
    assert [event.code for event in seen if isinstance(event, messages.Error)] == ["invalid_samples"]
    assert len(finals(seen)) == 2


async def test_a_warning_of_the_source_is_an_error_event_in_its_place() -> None:
    seen = await run(ListSource([SourceWarning("odd", "something odd"), pcm(*TWO)]))
    assert isinstance(seen[0], messages.Error)
    assert (seen[0].code, seen[0].fatal) == ("odd", False)


async def test_a_reader_that_does_not_read_blocks_the_source() -> None:
    """Nothing is dropped and nothing accumulates: the queues are bounded and the source waits."""
    clock = WallClock()
    engine = Engine(None, FakeRecognizer(), clock)
    reading = asyncio.Event()
    taken = 0

    class CountingSource(ListSource):
        async def items(self) -> AsyncIterator[Item]:
            nonlocal taken
            for item in self._items:
                taken += 1
                yield item

    class SlowSink(ListSink):
        async def send(self, event: messages.ServerEvent) -> None:
            await reading.wait()
            await super().send(event)

    sink = SlowSink()
    items = [pcm(voice(600, seed=i), silence(600)) for i in range(300)]
    settings = SessionSettings(segmenter=SegmenterSettings())
    session = Session(CountingSource(items), LoudnessVad, engine, EventLog("test"), [sink], settings, clock)
    async with engine.running():
        running = asyncio.create_task(session.run())
        before = -1
        while before != taken:  # until nothing changes any more
            before = taken
            for _ in range(2_000):
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
        assert taken < 150
        reading.set()
        await running
    assert len(finals(sink.events)) == 300


@pytest.mark.parametrize("samples", [1, 100, 319])
async def test_no_end_lies_past_the_audio(samples: int) -> None:
    """The last frame is padded to 20 ms."""
    sound = np.concatenate([silence(500), voice(1_000)])[: 16_000 + samples]
    seen = await run(ListSource([pcm(sound)]), transcriber=FakeTranscriber())
    (final,) = finals(seen)
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert final.end_ms == closed.totals.audio_ms == (16_000 + samples) * 1_000 // 16_000
    assert all(word.end_ms <= final.end_ms for word in final.words)


async def test_a_pause_without_packets_is_reported_once_before_speech_begins_again() -> None:
    pause = [item for _ in range(5) for item in (AudioGap(380, "nothing", frequent=True), pcm(silence(20)))]
    source = ListSource([pcm(voice(1_000)), *pause, pcm(voice(1_000, seed=1)), *pause])
    seen = await run(source)
    reports = [event for event in seen if not isinstance(event, messages.Emotion)]
    assert [(type(event).__name__, getattr(event, "ms", None)) for event in reports] == [
        ("SpeechStarted", None),
        ("Dropped", 1_900),
        ("SpeechStarted", None),
        ("Dropped", 1_900),
        ("Closed", None),
    ]
    assert [event.at_ms for event in reports if isinstance(event, messages.Dropped)] == [1_000, 4_000]


async def test_an_utterance_of_misread_samples_has_no_emotion_and_is_told_once() -> None:
    swapped = (demo_speech(3_000) * 32_768).astype("<i2").byteswap().astype(np.float32) / np.float32(32_768)
    parts = (silence(500), voice(1_000), silence(900), swapped, silence(900), voice(1_000), silence(700))
    whole = np.concatenate(parts)[:, None]
    for size in (len(whole), 1_600):
        blocks = [Pcm(whole[first : first + size]) for first in range(0, len(whole), size)]
        seen = await run(ListSource(blocks))
        results = [event for event in seen if isinstance(event, messages.Emotion | messages.NoEmotion)]
        assert kinds(results) == ["Emotion", "NoEmotion", "Emotion"]
        assert isinstance(results[1], messages.NoEmotion)
        assert results[1].reason == "misread_samples"
        assert [event.code for event in seen if isinstance(event, messages.Error)] == ["invalid_samples"]


async def test_float_samples_beyond_full_scale_are_scaled_and_told_once() -> None:
    hot = [Pcm(item[:, None] * np.float32(20)) for item in TWO]
    seen = await run(ListSource(hot))
    (error,) = [event for event in seen if isinstance(event, messages.Error)]
    assert error.code == "invalid_samples"
    assert "expected float samples from -1 to 1" in error.message
    assert len(finals(seen)) == 2
