"""How utterances end, frame by frame; see `stage` for who moves the clock."""

from __future__ import annotations

import asyncio
import gc

import pytest

from emostream.models import LABELS, Clip
from emostream.streamer.inference.backend import Analysis
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError
from emostream.streamer.protocol import messages
from tests.support.session_harness import CROWD, NEIGHBOUR, QUEUE, Span, frame, on_stage
from tests.support.streams import kinds


def judged(event: messages.Emotion, clip: Span) -> bool:
    """Whether the label is that of a clip of this length, see `fakes.judge`."""
    return event.label == LABELS[(clip[1] - clip[0]) % len(LABELS)]


# A second of speech, frames 0 to 49. Its candidate stands with frame 59 (a tail of 200 ms, at 1.2 s),
# its end is decided with frame 74 (500 ms of silence, at 1.5 s).
SECOND = (0, 60)


class TestPause:
    async def test_one_that_lasts_has_its_label_the_moment_it_is_long_enough(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", 9)
            assert stage.model.heard == []
            await stage.hear("silence", 1)
            assert stage.model.heard == [SECOND]
            await stage.hear("silence", 14)
            assert stage.paper.emotions == []
            await stage.hear("silence", 1)
            final = await stage.paper.emotion(1)
            await stage.hear("silence", 20)
            await stage.end()
            assert (final.final, final.reason, final.start_ms, final.end_ms) == (True, "silence", 0, 1_000)
            assert judged(final, SECOND)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (500, 300, 500)
            assert stage.model.heard == [SECOND]
            assert kinds(stage.paper.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert stage.outcomes() == {"started": 1, "used": 1}
            assert stage.engine.compute_time.wasted_compute_s == 0

    async def test_a_model_that_is_slow_makes_it_late_by_the_rest_of_its_work_only(self) -> None:
        """Begun at 1.2 s, it takes 400 ms: the label is 100 ms late."""
        async with on_stage() as stage:
            stage.model.hold()
            await stage.hear("speech", 50)
            await stage.hear("silence", 10)
            await stage.model.begun(SECOND)
            await stage.hear("silence", 20)
            assert stage.paper.emotions == []
            stage.model.release()
            final = await stage.paper.emotion(1)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (500, 300, 600)
            assert final.timing.emotion_ms == 400
            assert stage.model.heard == [SECOND]

    async def test_one_that_resumes_leaves_no_event_and_its_work_was_in_vain(self) -> None:
        async with on_stage() as stage:
            stage.model.hold()
            await stage.hear("speech", 50)
            await stage.hear("silence", 10)
            await stage.model.begun(SECOND)
            await stage.hear("silence", 2)
            stage.model.release()
            await stage.quiet()
            await stage.hear("speech", 10)
            assert kinds(stage.paper.events) == ["SpeechStarted"]
            await stage.hear("silence", 25)
            final = await stage.paper.emotion(1)
            await stage.end()
            assert (final.start_ms, final.end_ms) == (0, 1_440)
            assert judged(final, (0, 82))
            assert final.timing.total_ms == 500
            assert stage.model.heard == [SECOND, (0, 82)]
            assert kinds(stage.paper.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert stage.outcomes() == {"started": 2, "used": 1, "discarded": 1}
            # Two frames went by over the first, none over the second.
            assert stage.engine.compute_time.compute_s == pytest.approx(0.04)
            assert stage.engine.compute_time.wasted_compute_s == pytest.approx(0.04)

    async def test_one_that_resumes_before_a_model_was_free_costs_nothing(self) -> None:
        async with on_stage() as stage:
            await stage.occupy(stage.model)
            await stage.hear("speech", 50)
            await stage.hear("silence", 12)
            await stage.hear("speech", 10)
            stage.model.release()
            await stage.quiet()
            await stage.hear("silence", 25)
            final = await stage.paper.emotion(1)
            assert judged(final, (0, 82))
            assert stage.model.heard == [NEIGHBOUR, (0, 82)]
            assert stage.outcomes() == {"started": 2, "used": 1, "discarded": 1}
            assert stage.engine.compute_time.wasted_compute_s == 0

    @pytest.mark.parametrize(
        ("at", "endpoint_ms"),
        [
            pytest.param(55, 500, id="in the tail"),
            pytest.param(59, 500, id="where the candidate would have been made"),
            pytest.param(61, 500, id="while its analysis may run"),
            pytest.param(73, 500, id="just before the end"),
            pytest.param(74, 520, id="where the end would have been decided"),
        ],
    )
    async def test_a_blip_of_one_frame_changes_nothing(self, at: int, endpoint_ms: float) -> None:
        """At most it is waited for one frame longer: it might have been speech that resumes."""
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", at - 50)
            await stage.hear("speech", 1)
            decided = 50 + int(endpoint_ms) // 20
            await stage.hear("silence", decided - at - 1)
            final = await stage.paper.emotion(1)
            await stage.hear("silence", 30)
            await stage.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("silence", 0, 1_000)
            assert (final.timing.endpoint_ms, final.timing.total_ms) == (endpoint_ms, endpoint_ms)
            assert judged(final, SECOND)
            assert stage.model.heard == [SECOND]
            assert len(stage.paper.emotions) == 1
            assert stage.outcomes() == {"started": 1, "used": 1}


class TestFullHouse:
    async def test_a_candidate_that_was_shed_is_begun_at_the_end(self) -> None:
        async with on_stage() as stage:
            await stage.occupy(stage.model)
            crowd = await stage.crowd(QUEUE)
            await stage.hear("speech", 50)
            await stage.hear("silence", 10)
            await stage.quiet()  # refused: nothing of it is under way, though the model stands still
            await stage.hear("silence", 15)
            assert stage.paper.emotions == []
            stage.model.release()
            final = await stage.paper.emotion(1)
            await asyncio.gather(*crowd)
            assert (final.reason, final.timing.lead_ms, final.timing.total_ms) == ("silence", 0, 500)
            assert judged(final, SECOND)
            assert stage.model.heard == [NEIGHBOUR, SECOND, *[CROWD] * QUEUE]

    async def test_a_candidate_that_the_transcriber_alone_has_no_time_for_is_begun_at_the_end(self) -> None:
        async with on_stage(words=True) as stage:
            assert stage.words is not None
            await stage.occupy(stage.words)
            crowd = await stage.crowd(QUEUE)
            await stage.hear("speech", 50)
            await stage.hear("silence", 10)
            await stage.quiet()
            await stage.hear("silence", 15)
            stage.words.release()
            final = await stage.paper.emotion(1)
            await asyncio.gather(*crowd)
            assert (final.text, final.timing.lead_ms) == ("1200 milliseconds", 0)
            assert stage.words.heard[:2] == [NEIGHBOUR, SECOND]
            assert kinds(stage.paper.events).count("Error") == 0

    async def test_no_bet_is_made_while_the_models_work_on_one_that_is_lost(self) -> None:
        """The second pause is long enough for a candidate when the first one's is still under way."""
        async with on_stage() as stage:
            stage.model.hold()
            await stage.hear("speech", 50)
            await stage.hear("silence", 10)
            await stage.model.begun(SECOND)
            await stage.hear("speech", 10)
            await stage.hear("silence", 12)
            stage.model.release()
            await stage.quiet()
            assert stage.model.heard == [SECOND]
            await stage.hear("silence", 13)
            final = await stage.paper.emotion(1)
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("silence", 1_400, 0)
            assert judged(final, (0, 80))
            assert stage.model.heard == [SECOND, (0, 80)]
            assert stage.outcomes() == {"started": 1, "discarded": 1, "shed": 1}

    async def test_a_candidate_that_was_refused_when_it_had_just_been_won_is_asked_again(self) -> None:
        class Fickle(Engine):
            """Has no time for the first that is asked, and says so late."""

            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments)  # type: ignore[arg-type]
                self.asked: list[RequestContext] = []
                self.says_no = asyncio.Event()

            async def analyse(self, clip: Clip, request: RequestContext, *, words: bool = True) -> Analysis:
                self.asked.append(request)
                if len(self.asked) == 1:
                    await self.says_no.wait()
                    raise RequestShedError
                return await super().analyse(clip, request, words=words)

        async with on_stage(Fickle) as stage:
            assert isinstance(stage.engine, Fickle)
            stage.patient = False
            await stage.hear("speech", 50)
            await stage.hear("silence", 25)
            stage.engine.says_no.set()
            final = await stage.paper.emotion(1)
            assert (final.reason, final.timing.total_ms) == ("silence", 500)
            assert judged(final, SECOND)
            assert stage.model.heard == [SECOND]
            assert [request.priority for request in stage.engine.asked] == [Priority.FINAL, Priority.FINAL]

    async def test_a_bet_that_is_won_passes_the_candidates_that_came_before_it(self) -> None:
        async with on_stage() as stage:
            await stage.occupy(stage.model)
            crowd = await stage.crowd(5)
            await stage.hear("speech", 50)
            await stage.hear("silence", 25)
            stage.model.release()
            final = await stage.paper.emotion(1)
            await asyncio.gather(*crowd)
            assert final.timing.lead_ms == 300
            assert stage.model.heard == [NEIGHBOUR, SECOND, *[CROWD] * 5]

    async def test_finals_are_never_shed(self) -> None:
        """Three utterances while the queue is full: no bet is taken, and each has its final."""
        async with on_stage() as stage:
            await stage.occupy(stage.model)
            crowd = await stage.crowd(QUEUE)
            for _ in range(3):
                await stage.hear("speech", 50)
                await stage.hear("silence", 30)
            with pytest.raises(RequestShedError):  # it is still full
                await stage.engine.analyse(Clip(frame(0)), stage.engine.new_request(Priority.CANDIDATE))
            stage.model.release()
            await stage.paper.emotion(3)
            await asyncio.gather(*crowd)
            closed = await stage.end()
            told = stage.paper.emotions
            assert [(one.utterance, one.start_ms, one.reason) for one in told] == [
                (1, 0, "silence"),
                (2, 1_600, "silence"),
                (3, 3_200, "silence"),
            ]
            # 200 ms before what is not the first.
            assert [one for one in stage.model.heard if one != CROWD] == [
                NEIGHBOUR,
                SECOND,
                (70, 140),
                (150, 220),
            ]
            assert stage.model.heard.count(CROWD) == QUEUE
            assert closed.totals == messages.Totals(audio_ms=4_800, utterances=3, dropped_ms=0)
            assert kinds(stage.paper.events).count("Error") == 0

    async def test_a_provisional_is_refused_in_silence_and_the_next_one_is_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with on_stage(interim_interval_ms=1_000) as stage:
            await stage.occupy(stage.model)
            crowd = await stage.crowd(QUEUE)
            await stage.hear("speech", 60)
            await stage.quiet()  # refused: nothing of it is under way
            stage.model.release()
            await asyncio.gather(*crowd)
            assert kinds(stage.paper.events) == ["SpeechStarted"]
            assert stage.model.heard == [NEIGHBOUR, *[CROWD] * QUEUE]
            # A second after speech was certain (frame 5), and a second after that.
            await stage.hear("speech", 45)
            assert stage.paper.emotions == []
            await stage.hear("speech", 1)
            provisional = await stage.paper.emotion(1)
            await stage.hear("silence", 25)
            final = await stage.paper.emotion(2)
            assert (provisional.final, provisional.reason, provisional.end_ms) == (False, "speaking", 2_120)
            assert (final.final, final.reason, final.end_ms) == (True, "silence", 2_120)
            assert stage.model.heard[-2:] == [(0, 106), (0, 116)]
        gc.collect()
        assert caplog.records == []

    async def test_there_is_no_second_provisional_while_the_first_is_worked_on(self) -> None:
        async with on_stage(interim_interval_ms=1_000) as stage:
            stage.model.hold()
            await stage.hear("speech", 110)
            stage.model.release()
            await stage.quiet()
            assert stage.model.heard == [(0, 56)]
            await stage.hear("speech", 1)
            await stage.hear("silence", 25)
            final = await stage.paper.emotion(3)
            assert [one.final for one in stage.paper.emotions] == [False, False, True]
            assert final.end_ms == 2_220
            assert stage.model.heard == [(0, 56), (0, 111), (0, 121)]

    async def test_a_provisional_that_waits_makes_room_for_candidates(self) -> None:
        async with on_stage(interim_interval_ms=1_000) as stage:
            await stage.occupy(stage.model)
            await stage.hear("speech", 56)
            crowd = await stage.crowd(QUEUE)
            await stage.quiet()
            stage.model.release()
            await asyncio.gather(*crowd)
            await stage.hear("silence", 25)
            final = await stage.paper.emotion(1)
            await stage.end()
            assert final.final
            assert stage.model.heard == [NEIGHBOUR, *[CROWD] * QUEUE, (0, 66)]
            assert kinds(stage.paper.events) == ["SpeechStarted", "Emotion", "Closed"]


class TestOtherEnds:
    """What is no pause that lasted."""

    async def test_the_longest_utterance_is_cut_in_mid_speech_and_goes_on(self) -> None:
        """2 s are 100 frames; the quietest point is the middle of the murmur, frame 57."""
        async with on_stage(max_utterance_ms=2_000) as stage:
            await stage.hear("speech", 55)
            await stage.hear("murmur", 5)
            await stage.hear("speech", 39)
            assert stage.model.heard == []
            await stage.hear("speech", 1)
            first = await stage.paper.emotion(1)
            await stage.hear("speech", 10)
            await stage.hear("silence", 25)
            second = await stage.paper.emotion(2)
            assert (first.reason, first.start_ms, first.end_ms) == ("max_length", 0, 1_140)
            assert (second.reason, second.start_ms, second.end_ms) == ("silence", 1_140, 2_200)
            assert (first.timing.lead_ms, second.timing.lead_ms) == (0, 300)
            assert judged(first, (0, 57))
            assert judged(second, (57, 120))
            assert stage.model.heard == [(0, 57), (57, 120)]

    async def test_a_cut_for_length_inside_a_pause_is_another_clip_than_the_candidate(self) -> None:
        """The pause has 15 frames when the limit comes, and the middle of its quietest five is frame 87."""
        async with on_stage(max_utterance_ms=2_000) as stage:
            await stage.hear("speech", 85)
            await stage.hear("silence", 15)
            final = await stage.paper.emotion(1)
            await stage.hear("silence", 30)
            closed = await stage.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("max_length", 0, 1_700)
            assert final.timing.lead_ms == 0
            assert judged(final, (0, 87))
            assert stage.model.heard == [(0, 95), (0, 87)]
            assert stage.outcomes() == {"started": 1, "discarded": 1}
            assert closed.totals.utterances == 1

    async def test_a_flush_in_a_pause_takes_the_candidate(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", 12)
            await stage.flush()
            final = await stage.paper.emotion(1)
            await stage.hear("silence", 40)
            await stage.end()
            assert (final.reason, final.end_ms) == ("flush", 1_000)
            assert (final.timing.endpoint_ms, final.timing.lead_ms, final.timing.total_ms) == (240, 40, 240)
            assert stage.model.heard == [SECOND]
            assert len(stage.paper.emotions) == 1
            assert stage.outcomes() == {"started": 1, "used": 1}

    async def test_a_flush_before_the_tail_is_complete_ends_the_clip_there(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", 5)
            await stage.flush()
            final = await stage.paper.emotion(1)
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("flush", 1_000, 0)
            assert stage.model.heard == [(0, 55)]
            assert stage.outcomes() == {}

    async def test_a_flush_in_mid_speech_loses_nothing_of_what_follows(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.flush()
            first = await stage.paper.emotion(1)
            await stage.hear("speech", 20)
            await stage.hear("silence", 25)
            second = await stage.paper.emotion(2)
            assert (first.reason, first.start_ms, first.end_ms) == ("flush", 0, 1_000)
            assert (second.reason, second.start_ms, second.end_ms) == ("silence", 1_000, 1_400)
            assert stage.model.heard == [(0, 50), (50, 80)]

    async def test_the_end_of_the_sound_in_a_pause_takes_the_candidate(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            await stage.hear("silence", 12)
            closed = await stage.end()
            (final,) = stage.paper.emotions
            assert (final.reason, final.end_ms, final.timing.lead_ms) == ("end_of_stream", 1_000, 40)
            assert stage.model.heard == [SECOND]
            assert closed.reason == "end_of_stream"

    async def test_a_stop_in_mid_speech_judges_what_was_said(self) -> None:
        async with on_stage() as stage:
            await stage.hear("speech", 50)
            stage.session.stop()
            final = await stage.paper.emotion(1)
            closed = await stage.end()
            assert (final.reason, final.start_ms, final.end_ms) == ("end_of_stream", 0, 1_000)
            assert judged(final, (0, 50))
            assert stage.model.heard == [(0, 50)]
            assert closed.reason == "shutting_down"
            assert closed.totals == messages.Totals(audio_ms=1_000, utterances=1, dropped_ms=0)

    async def test_a_stop_while_a_provisional_is_worked_on_leaves_the_final_alone(self) -> None:
        async with on_stage(interim_interval_ms=1_000) as stage:
            stage.model.hold()
            await stage.hear("speech", 56)
            await stage.model.begun((0, 56))
            await stage.hear("speech", 4)
            stage.session.stop()
            await stage.quiet("interim result")
            stage.model.release()
            closed = await stage.end()
            assert kinds(stage.paper.events) == ["SpeechStarted", "Emotion", "Closed"]
            assert stage.paper.emotions[0].final
            assert stage.model.heard == [(0, 56), (0, 60)]
            assert closed.reason == "shutting_down"

    async def test_a_stop_in_a_pause_waits_for_the_candidate_that_runs(self) -> None:
        async with on_stage() as stage:
            stage.model.hold()
            await stage.hear("speech", 50)
            await stage.hear("silence", 12)
            await stage.model.begun(SECOND)
            stage.session.stop()
            stage.model.release()
            closed = await stage.end()
            (final,) = stage.paper.emotions
            assert (final.reason, final.timing.lead_ms) == ("end_of_stream", 40)
            assert stage.model.heard == [SECOND]
            assert stage.outcomes() == {"started": 1, "used": 1}
            assert closed.reason == "shutting_down"
