"""How utterances end, frame by frame; `session_harness` moves the clock."""

from __future__ import annotations

import asyncio
import gc

import pytest

from emostream.models import LABELS, Clip
from emostream.streamer.inference.request import Priority, RequestShedError
from emostream.streamer.protocol import messages
from tests.support.session_harness import (
    OTHER_CLIP,
    QUEUE_SIZE,
    QUEUED_CLIP,
    ShedsTheFirst,
    Span,
    frame,
    session_harness,
)
from tests.support.streams import kinds


def has_label_of(event: messages.Emotion, clip: Span) -> bool:
    """Whether the label is that of a clip of this length, see `fakes.predict`."""
    return event.label == LABELS[(clip[1] - clip[0]) % len(LABELS)]


# A second of speech, frames 0 to 49. Its candidate exists from frame 59 on (a tail of 200 ms, at 1.2 s),
# its end is decided with frame 74 (500 ms of silence, at 1.5 s).
SECOND = (0, 60)


class TestPause:
    async def test_a_pause_that_lasts_has_its_label_the_moment_it_is_long_enough(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 9)
            assert harness.model.clips == []
            await harness.play("silence", 1)
            assert harness.model.clips == [SECOND]
            await harness.play("silence", 14)
            assert harness.recorder.emotions == []
            await harness.play("silence", 1)
            final = await harness.recorder.emotion(1)
            await harness.play("silence", 20)
            await harness.end()
            assert (final.final, final.reason, final.start_ms, final.end_ms) == (True, "silence", 0, 1_000)
            assert has_label_of(final, SECOND)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (500, 300, 500)
            assert harness.model.clips == [SECOND]
            assert kinds(harness.recorder.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert harness.outcomes() == {"started": 1, "used": 1}
            assert harness.engine.compute_time.wasted_compute_s == 0

    async def test_a_slow_model_delays_the_label_by_the_rest_of_its_work_only(self) -> None:
        """Started at 1.2 s, it takes 400 ms: the label is 100 ms late."""
        async with session_harness() as harness:
            harness.model.hold()
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            await harness.model.started(SECOND)
            await harness.play("silence", 20)
            assert harness.recorder.emotions == []
            harness.model.release()
            final = await harness.recorder.emotion(1)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (500, 300, 600)
            assert final.timing.emotion_ms == 400
            assert harness.model.clips == [SECOND]

    async def test_speech_that_resumes_leaves_no_event_and_the_work_is_wasted(self) -> None:
        async with session_harness() as harness:
            harness.model.hold()
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            await harness.model.started(SECOND)
            await harness.play("silence", 2)
            harness.model.release()
            await harness.settle()
            await harness.play("speech", 10)
            assert kinds(harness.recorder.events) == ["SpeechStarted"]
            await harness.play("silence", 25)
            final = await harness.recorder.emotion(1)
            await harness.end()
            assert (final.start_ms, final.end_ms) == (0, 1_440)
            assert has_label_of(final, (0, 82))
            assert final.timing.total_ms == 500
            assert harness.model.clips == [SECOND, (0, 82)]
            assert kinds(harness.recorder.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert harness.outcomes() == {"started": 2, "used": 1, "discarded": 1}
            # The first took two frames, the second none.
            assert harness.engine.compute_time.compute_s == pytest.approx(0.04)
            assert harness.engine.compute_time.wasted_compute_s == pytest.approx(0.04)

    async def test_speech_that_resumes_before_a_model_is_free_costs_nothing(self) -> None:
        async with session_harness() as harness:
            await harness.occupy(harness.model)
            await harness.play("speech", 50)
            await harness.play("silence", 12)
            await harness.play("speech", 10)
            harness.model.release()
            await harness.settle()
            await harness.play("silence", 25)
            final = await harness.recorder.emotion(1)
            assert has_label_of(final, (0, 82))
            assert harness.model.clips == [OTHER_CLIP, (0, 82)]
            assert harness.outcomes() == {"started": 2, "used": 1, "discarded": 1}
            assert harness.engine.compute_time.wasted_compute_s == 0

    @pytest.mark.parametrize(
        ("at", "endpoint_ms"),
        [
            pytest.param(55, 500, id="in the tail"),
            pytest.param(59, 500, id="where the candidate would have been created"),
            pytest.param(61, 500, id="while its analysis may run"),
            pytest.param(73, 500, id="just before the end"),
            pytest.param(74, 520, id="where the end would have been decided"),
        ],
    )
    async def test_one_frame_of_speech_in_a_pause_changes_nothing(self, at: int, endpoint_ms: float) -> None:
        """At most the decision comes one frame later: it might have been speech that resumes."""
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", at - 50)
            await harness.play("speech", 1)
            decided = 50 + int(endpoint_ms) // 20
            await harness.play("silence", decided - at - 1)
            final = await harness.recorder.emotion(1)
            await harness.play("silence", 30)
            await harness.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("silence", 0, 1_000)
            assert (final.timing.endpoint_ms, final.timing.total_ms) == (endpoint_ms, endpoint_ms)
            assert has_label_of(final, SECOND)
            assert harness.model.clips == [SECOND]
            assert len(harness.recorder.emotions) == 1
            assert harness.outcomes() == {"started": 1, "used": 1}


class TestOverload:
    async def test_a_candidate_that_was_shed_is_analysed_at_the_end(self) -> None:
        async with session_harness() as harness:
            await harness.occupy(harness.model)
            queued = await harness.queue_candidates(QUEUE_SIZE)
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            await harness.settle()  # shed: nothing of it is in progress, though the model is blocked
            await harness.play("silence", 15)
            assert harness.recorder.emotions == []
            harness.model.release()
            final = await harness.recorder.emotion(1)
            await asyncio.gather(*queued)
            assert (final.reason, final.timing.lead_ms, final.timing.total_ms) == ("silence", 0, 500)
            assert has_label_of(final, SECOND)
            assert harness.model.clips == [OTHER_CLIP, SECOND, *[QUEUED_CLIP] * QUEUE_SIZE]

    async def test_a_candidate_that_only_the_transcriber_sheds_is_analysed_at_the_end(self) -> None:
        async with session_harness(transcriber=True) as harness:
            assert harness.transcriber is not None
            await harness.occupy(harness.transcriber)
            queued = await harness.queue_candidates(QUEUE_SIZE)
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            await harness.settle()
            await harness.play("silence", 15)
            harness.transcriber.release()
            final = await harness.recorder.emotion(1)
            await asyncio.gather(*queued)
            assert (final.text, final.timing.lead_ms) == ("1200 milliseconds", 0)
            assert harness.transcriber.clips[:2] == [OTHER_CLIP, SECOND]
            assert kinds(harness.recorder.events).count("Error") == 0

    async def test_no_candidate_is_analysed_while_a_model_computes_a_discarded_one(self) -> None:
        """The second pause is long enough for a candidate while the first one's analysis still runs."""
        async with session_harness() as harness:
            harness.model.hold()
            await harness.play("speech", 50)
            await harness.play("silence", 10)
            await harness.model.started(SECOND)
            await harness.play("speech", 10)
            await harness.play("silence", 12)
            harness.model.release()
            await harness.settle()
            assert harness.model.clips == [SECOND]
            await harness.play("silence", 13)
            final = await harness.recorder.emotion(1)
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("silence", 1_400, 0)
            assert has_label_of(final, (0, 80))
            assert harness.model.clips == [SECOND, (0, 80)]
            assert harness.outcomes() == {"started": 1, "discarded": 1, "shed": 1}

    async def test_a_candidate_that_is_shed_just_after_it_became_a_final_is_analysed_again(self) -> None:
        async with session_harness(ShedsTheFirst) as harness:
            assert isinstance(harness.engine, ShedsTheFirst)
            harness.wait_for_models = False
            await harness.play("speech", 50)
            await harness.play("silence", 25)
            harness.engine.shed.set()
            final = await harness.recorder.emotion(1)
            assert (final.reason, final.timing.total_ms) == ("silence", 500)
            assert has_label_of(final, SECOND)
            assert harness.model.clips == [SECOND]
            assert [request.priority for request in harness.engine.requests] == [
                Priority.FINAL,
                Priority.FINAL,
            ]

    async def test_a_candidate_that_becomes_a_final_passes_those_before_it(self) -> None:
        async with session_harness() as harness:
            await harness.occupy(harness.model)
            queued = await harness.queue_candidates(5)
            await harness.play("speech", 50)
            await harness.play("silence", 25)
            harness.model.release()
            final = await harness.recorder.emotion(1)
            await asyncio.gather(*queued)
            assert final.timing.lead_ms == 300
            assert harness.model.clips == [OTHER_CLIP, SECOND, *[QUEUED_CLIP] * 5]

    async def test_finals_are_never_shed(self) -> None:
        """Three utterances while the queue is full: no candidate is accepted, and each has its final."""
        async with session_harness() as harness:
            await harness.occupy(harness.model)
            queued = await harness.queue_candidates(QUEUE_SIZE)
            for _ in range(3):
                await harness.play("speech", 50)
                await harness.play("silence", 30)
            with pytest.raises(RequestShedError):  # it is still full
                await harness.engine.analyse(Clip(frame(0)), harness.engine.new_request(Priority.CANDIDATE))
            harness.model.release()
            await harness.recorder.emotion(3)
            await asyncio.gather(*queued)
            closed = await harness.end()
            emotions = harness.recorder.emotions
            assert [(event.utterance, event.start_ms, event.reason) for event in emotions] == [
                (1, 0, "silence"),
                (2, 1_600, "silence"),
                (3, 3_200, "silence"),
            ]
            # The later ones begin with 200 ms of pre-roll.
            assert [clip for clip in harness.model.clips if clip != QUEUED_CLIP] == [
                OTHER_CLIP,
                SECOND,
                (70, 140),
                (150, 220),
            ]
            assert harness.model.clips.count(QUEUED_CLIP) == QUEUE_SIZE
            assert closed.totals == messages.Totals(audio_ms=4_800, utterances=3, dropped_ms=0)
            assert kinds(harness.recorder.events).count("Error") == 0

    async def test_an_interim_result_is_shed_silently_and_the_next_one_is_sent(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with session_harness(interim_interval_ms=1_000) as harness:
            await harness.occupy(harness.model)
            queued = await harness.queue_candidates(QUEUE_SIZE)
            await harness.play("speech", 60)
            await harness.settle()  # shed: nothing of it is in progress
            harness.model.release()
            await asyncio.gather(*queued)
            assert kinds(harness.recorder.events) == ["SpeechStarted"]
            assert harness.model.clips == [OTHER_CLIP, *[QUEUED_CLIP] * QUEUE_SIZE]
            # A second after speech was confirmed (frame 5), and a second after that.
            await harness.play("speech", 45)
            assert harness.recorder.emotions == []
            await harness.play("speech", 1)
            interim = await harness.recorder.emotion(1)
            await harness.play("silence", 25)
            final = await harness.recorder.emotion(2)
            assert (interim.final, interim.reason, interim.end_ms) == (False, "speaking", 2_120)
            assert (final.final, final.reason, final.end_ms) == (True, "silence", 2_120)
            assert harness.model.clips[-2:] == [(0, 106), (0, 116)]
        gc.collect()
        assert caplog.records == []

    async def test_no_second_interim_result_while_the_first_is_computed(self) -> None:
        async with session_harness(interim_interval_ms=1_000) as harness:
            harness.model.hold()
            await harness.play("speech", 110)
            harness.model.release()
            await harness.settle()
            assert harness.model.clips == [(0, 56)]
            await harness.play("speech", 1)
            await harness.play("silence", 25)
            final = await harness.recorder.emotion(3)
            assert [event.final for event in harness.recorder.emotions] == [False, False, True]
            assert final.end_ms == 2_220
            assert harness.model.clips == [(0, 56), (0, 111), (0, 121)]

    async def test_an_interim_result_that_waits_is_shed_for_candidates(self) -> None:
        async with session_harness(interim_interval_ms=1_000) as harness:
            await harness.occupy(harness.model)
            await harness.play("speech", 56)
            queued = await harness.queue_candidates(QUEUE_SIZE)
            await harness.settle()
            harness.model.release()
            await asyncio.gather(*queued)
            await harness.play("silence", 25)
            final = await harness.recorder.emotion(1)
            await harness.end()
            assert final.final
            assert harness.model.clips == [OTHER_CLIP, *[QUEUED_CLIP] * QUEUE_SIZE, (0, 66)]
            assert kinds(harness.recorder.events) == ["SpeechStarted", "Emotion", "Closed"]


class TestOtherEnds:
    """Ends that are not a pause that lasted."""

    async def test_an_utterance_of_maximum_length_is_cut_in_mid_speech_and_goes_on(self) -> None:
        """2 s are 100 frames; the quietest point is the middle of the murmur, frame 57."""
        async with session_harness(max_utterance_ms=2_000) as harness:
            await harness.play("speech", 55)
            await harness.play("murmur", 5)
            await harness.play("speech", 39)
            assert harness.model.clips == []
            await harness.play("speech", 1)
            first = await harness.recorder.emotion(1)
            await harness.play("speech", 10)
            await harness.play("silence", 25)
            second = await harness.recorder.emotion(2)
            assert (first.reason, first.start_ms, first.end_ms) == ("max_length", 0, 1_140)
            assert (second.reason, second.start_ms, second.end_ms) == ("silence", 1_140, 2_200)
            assert (first.timing.lead_ms, second.timing.lead_ms) == (0, 300)
            assert has_label_of(first, (0, 57))
            assert has_label_of(second, (57, 120))
            assert harness.model.clips == [(0, 57), (57, 120)]

    async def test_a_cut_for_length_inside_a_pause_is_another_clip_than_the_candidate(self) -> None:
        """The pause has 15 frames when the limit comes, and the middle of its quietest five is frame 87."""
        async with session_harness(max_utterance_ms=2_000) as harness:
            await harness.play("speech", 85)
            await harness.play("silence", 15)
            final = await harness.recorder.emotion(1)
            await harness.play("silence", 30)
            closed = await harness.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("max_length", 0, 1_700)
            assert final.timing.lead_ms == 0
            assert has_label_of(final, (0, 87))
            assert harness.model.clips == [(0, 95), (0, 87)]
            assert harness.outcomes() == {"started": 1, "discarded": 1}
            assert closed.totals.utterances == 1

    async def test_a_flush_in_a_pause_uses_the_candidate(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 12)
            await harness.flush()
            final = await harness.recorder.emotion(1)
            await harness.play("silence", 40)
            await harness.end()
            assert (final.reason, final.end_ms) == ("flush", 1_000)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (240, 40, 240)
            assert harness.model.clips == [SECOND]
            assert len(harness.recorder.emotions) == 1
            assert harness.outcomes() == {"started": 1, "used": 1}

    async def test_a_flush_before_the_tail_is_complete_ends_the_clip_there(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 5)
            await harness.flush()
            final = await harness.recorder.emotion(1)
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("flush", 1_000, 0)
            assert harness.model.clips == [(0, 55)]
            assert harness.outcomes() == {}

    async def test_a_flush_in_mid_speech_loses_nothing_after_it(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.flush()
            first = await harness.recorder.emotion(1)
            await harness.play("speech", 20)
            await harness.play("silence", 25)
            second = await harness.recorder.emotion(2)
            assert (first.reason, first.start_ms, first.end_ms) == ("flush", 0, 1_000)
            assert (second.reason, second.start_ms, second.end_ms) == ("silence", 1_000, 1_400)
            assert harness.model.clips == [(0, 50), (50, 80)]

    async def test_the_end_of_the_audio_in_a_pause_uses_the_candidate(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            await harness.play("silence", 12)
            closed = await harness.end()
            (final,) = harness.recorder.emotions
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("end_of_stream", 1_000, 40)
            assert harness.model.clips == [SECOND]
            assert closed.reason == "end_of_stream"

    async def test_a_stop_in_mid_speech_classifies_the_speech_so_far(self) -> None:
        async with session_harness() as harness:
            await harness.play("speech", 50)
            harness.session.stop()
            final = await harness.recorder.emotion(1)
            closed = await harness.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("end_of_stream", 0, 1_000)
            assert has_label_of(final, (0, 50))
            assert harness.model.clips == [(0, 50)]
            assert closed.reason == "shutting_down"
            assert closed.totals == messages.Totals(audio_ms=1_000, utterances=1, dropped_ms=0)

    async def test_a_stop_while_an_interim_result_is_computed_leaves_only_the_final(self) -> None:
        async with session_harness(interim_interval_ms=1_000) as harness:
            harness.model.hold()
            await harness.play("speech", 56)
            await harness.model.started((0, 56))
            await harness.play("speech", 4)
            harness.session.stop()
            await harness.settle("interim result")
            harness.model.release()
            closed = await harness.end()
            assert kinds(harness.recorder.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert harness.recorder.emotions[0].final
            assert harness.model.clips == [(0, 56), (0, 60)]
            assert closed.reason == "shutting_down"

    async def test_a_stop_in_a_pause_waits_for_the_candidate_that_runs(self) -> None:
        async with session_harness() as harness:
            harness.model.hold()
            await harness.play("speech", 50)
            await harness.play("silence", 12)
            await harness.model.started(SECOND)
            harness.session.stop()
            harness.model.release()
            closed = await harness.end()
            (final,) = harness.recorder.emotions
            assert (final.reason, final.timing.lead_ms) == ("end_of_stream", 40)
            assert harness.model.clips == [SECOND]
            assert harness.outcomes() == {"started": 1, "used": 1}
            assert closed.reason == "shutting_down"
