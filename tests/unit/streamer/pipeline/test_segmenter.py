"""Frames and flags in, utterances out: by table, by hand-made reference, by invariant."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emostream.streamer.config import SegmenterSettings
from emostream.streamer.errors import ConfigError
from emostream.streamer.pipeline.segmenter import Segmenter, SpeechStarted, Utterance
from tests.support.fakes import FRAME, silence, voice

Runs = list[tuple[str, int]]  # ("speech" | "silence", frames)
DEFAULT = SegmenterSettings()


def sound(runs: Runs) -> tuple[np.ndarray, list[bool]]:
    """The stream and its flags. Speech is noise, silence is zeros."""
    parts = [
        voice(frames * 20, seed=i) if kind == "speech" else silence(frames * 20)
        for i, (kind, frames) in enumerate(runs)
    ]
    flags = [kind == "speech" for kind, frames in runs for _ in range(frames)]
    return np.concatenate(parts), flags


def segment(runs: Runs, config: SegmenterSettings = DEFAULT) -> list[SpeechStarted | Utterance]:
    samples, flags = sound(runs)
    segmenter = Segmenter(config)
    out: list[SpeechStarted | Utterance] = []
    for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
        out += segmenter.push(frame, flag)
    return out + segmenter.flush("end_of_stream")


def utterances(runs: Runs, config: SegmenterSettings = DEFAULT) -> list[Utterance]:
    return [one for one in segment(runs, config) if isinstance(one, Utterance)]


def spans_ms(found: list[Utterance]) -> list[tuple[int, int, str]]:
    return [(one.start // 16, one.end // 16, one.reason) for one in found]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([("silence", 100)], [], id="silence"),
        pytest.param([("silence", 50), ("speech", 5), ("silence", 50)], [], id="100 ms is not confirmed"),
        pytest.param([("silence", 50), ("speech", 9), ("silence", 50)], [], id="180 ms is a false alarm"),
        pytest.param(
            [("silence", 50), ("speech", 10), ("silence", 50)],
            [(1000, 1200, "silence")],
            id="200 ms is speech",
        ),
        pytest.param(
            [("silence", 50), ("speech", 50), ("silence", 24), ("speech", 50), ("silence", 50)],
            [(1000, 3480, "silence")],
            id="a pause of 480 ms belongs to the utterance",
        ),
        pytest.param(
            [("silence", 50), ("speech", 50), ("silence", 25), ("speech", 50), ("silence", 50)],
            [(1000, 2000, "silence"), (2500, 3500, "silence")],
            id="a pause of 500 ms ends it",
        ),
        pytest.param(
            [("speech", 50), ("silence", 15), ("speech", 1), ("silence", 50)],
            [(0, 1000, "silence")],
            id="a one-frame blip in the pause does not move the end",
        ),
        pytest.param([("speech", 50)], [(0, 1000, "end_of_stream")], id="the end of the stream ends it"),
        pytest.param(
            [("speech", 50), ("silence", 10)],
            [(0, 1000, "end_of_stream")],
            id="the end of the stream inside a pause",
        ),
    ],
)
def test_utterances_of_simple_streams(runs: Runs, expected: list[tuple[int, int, str]]) -> None:
    assert spans_ms(utterances(runs)) == expected


def test_the_clip_has_its_pre_roll_and_its_tail() -> None:
    (one,) = utterances([("silence", 50), ("speech", 50), ("silence", 50)])
    assert one.clip_start == (1000 - DEFAULT.pre_roll_ms) * 16
    assert len(one.samples) == (DEFAULT.pre_roll_ms + 1000 + DEFAULT.tail_ms) * 16


def test_the_end_is_decided_when_the_silence_has_lasted() -> None:
    (one,) = utterances([("silence", 50), ("speech", 50), ("silence", 50)])
    assert one.decided_at == (2000 + DEFAULT.min_silence_ms) * 16


def test_speech_is_announced_when_it_has_lasted_long_enough() -> None:
    samples, flags = sound([("silence", 20), ("speech", 20)])
    segmenter = Segmenter(DEFAULT)
    announced = [
        i
        for i, (frame, flag) in enumerate(zip(samples.reshape(-1, FRAME), flags, strict=True))
        if segmenter.push(frame, flag)
    ]
    assert announced == [20 + DEFAULT.min_speech_ms // 20 - 1]


def test_an_utterance_that_is_too_long_is_cut_at_its_quietest_point() -> None:
    config = SegmenterSettings(max_utterance_ms=4_000)
    segmenter = Segmenter(config)
    samples = voice(5_000)
    samples[3_000 * 16 : 3_100 * 16] *= 0.1
    found = [
        one
        for frame in samples.reshape(-1, FRAME)
        for one in segmenter.push(frame, True)
        if isinstance(one, Utterance)
    ]
    found += [one for one in segmenter.flush("end_of_stream") if isinstance(one, Utterance)]
    first, second = found
    assert first.reason == "max_length"
    assert 3_000 * 16 <= first.end <= 3_100 * 16
    assert second.clip_start == first.clip_start + len(first.samples)
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), samples)


def test_hangover_far_below_the_voice_is_not_speech() -> None:
    """A VAD that goes on saying speech over a faint noise does not make the utterance longer."""
    segmenter = Segmenter(DEFAULT)
    faint = voice(400, level=0.1 * 10 ** (-40 / 20))
    out: list[SpeechStarted | Utterance] = []
    for frame in np.concatenate([faint, voice(1_000), faint]).reshape(-1, FRAME):
        out += segmenter.push(frame, True)
    for frame in silence(1_000).reshape(-1, FRAME):
        out += segmenter.push(frame, False)
    (one,) = [one for one in out if isinstance(one, Utterance)]
    assert (one.start // 16, one.end // 16) == (400, 1_400)


def test_flush_ends_the_utterance_here_and_nothing_else_changes() -> None:
    segmenter = Segmenter(DEFAULT)
    for frame in voice(1_000).reshape(-1, FRAME):
        segmenter.push(frame, True)
    (one,) = segmenter.flush("flush")
    assert isinstance(one, Utterance)
    assert (one.reason, one.end // 16) == ("flush", 1_000)
    assert segmenter.flush("flush") == []


def test_a_gap_moves_the_clock() -> None:
    segmenter = Segmenter(DEFAULT)
    segmenter.skip(500)
    out = [one for frame in voice(1_000).reshape(-1, FRAME) for one in segmenter.push(frame, True)]
    assert out == [SpeechStarted(1, 10_000 * 16)]


def candidates(
    runs: Runs, config: SegmenterSettings = DEFAULT
) -> list[tuple[Utterance | None, list[object]]]:
    """After every frame: the candidate, and what the frame brought about."""
    samples, flags = sound(runs)
    segmenter = Segmenter(config)
    seen: list[tuple[Utterance | None, list[object]]] = []
    for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
        happened = segmenter.push(frame, flag)
        seen.append((segmenter.candidate, [*happened]))
    return seen


class TestCandidate:
    def test_it_is_there_as_soon_as_the_tail_is(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)])
        first = next(i for i, (candidate, _) in enumerate(seen) if candidate is not None)
        assert first == 50 + DEFAULT.tail_ms // 20 - 1
        candidate = seen[first][0]
        assert candidate is not None
        assert len(candidate.samples) == (1000 + DEFAULT.tail_ms) * 16

    def test_without_a_tail_it_is_there_in_the_first_silent_frame(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)], SegmenterSettings(tail_ms=0))
        assert next(i for i, (candidate, _) in enumerate(seen) if candidate is not None) == 50

    def test_the_final_holds_its_very_samples(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)])
        before = [candidate for candidate, _ in seen if candidate is not None]
        (final,) = [one for _, happened in seen for one in happened if isinstance(one, Utterance)]
        assert all(candidate.samples is final.samples for candidate in before)
        assert seen[-1][0] is None

    def test_speech_takes_it_back(self) -> None:
        seen = candidates([("speech", 50), ("silence", 20), ("speech", 20), ("silence", 40)])
        two = list(dict.fromkeys(id(candidate) for candidate, _ in seen if candidate is not None))
        assert len(two) == 2
        (final,) = [one for _, happened in seen for one in happened if isinstance(one, Utterance)]
        assert final.end == 90 * FRAME
        confirmed = 70 + DEFAULT.start_speech_ms // 20 - 1
        assert seen[confirmed - 1][0] is not None
        assert seen[confirmed][0] is None

    def test_a_loud_blip_leaves_it_as_it_is(self) -> None:
        """However loud: what is not speech says nothing about how loud speech is."""
        samples, flags = sound([("speech", 50), ("silence", 12), ("speech", 2), ("silence", 40)])
        samples[: 25 * FRAME] *= 10 ** (-30 / 20)  # within the range of the voice, not of the blip
        samples[62 * FRAME : 64 * FRAME] *= 30
        segmenter, found, final = Segmenter(DEFAULT), [], None
        for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
            for one in segmenter.push(frame, flag):
                final = one if isinstance(one, Utterance) else final
            if segmenter.candidate is not None:
                found.append(segmenter.candidate)
        assert final is not None
        assert all(one.samples is final.samples for one in found)
        assert final.start == 0

    @pytest.mark.parametrize("reason", ["flush", "end_of_stream"])
    def test_a_pause_that_is_cut_short_has_it_too(self, reason: str) -> None:
        samples, flags = sound([("speech", 50), ("silence", 15)])
        segmenter = Segmenter(DEFAULT)
        for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
            segmenter.push(frame, flag)
        candidate = segmenter.candidate
        (final,) = segmenter.flush(reason)  # type: ignore[arg-type]
        assert candidate is not None
        assert isinstance(final, Utterance)
        assert final.samples is candidate.samples
        assert (final.reason, final.decided_at) == (reason, 65 * FRAME)
        assert segmenter.candidate is None

    def test_what_is_not_certain_has_none(self) -> None:
        assert not [one for one, _ in candidates([("speech", 9), ("silence", 50)]) if one is not None]


class TestSoFar:
    def heard(self, runs: Runs) -> Utterance | None:
        samples, flags = sound(runs)
        segmenter = Segmenter(DEFAULT)
        for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
            segmenter.push(frame, flag)
        return segmenter.partial_utterance()

    def test_it_is_all_that_was_said(self) -> None:
        one = self.heard([("silence", 50), ("speech", 100)])
        assert one is not None
        assert (one.reason, one.utterance) == ("speaking", 1)
        assert (one.start, one.end) == (50 * FRAME, 150 * FRAME)
        assert len(one.samples) == 100 * FRAME + DEFAULT.pre_roll_ms * 16

    @pytest.mark.parametrize(
        "runs",
        [
            [("silence", 50)],
            [("speech", 8)],
            [("speech", 50), ("silence", 15)],
            [("speech", 50), ("silence", 30)],
        ],
        ids=["silence", "nothing certain", "a pause", "over"],
    )
    def test_otherwise_there_is_nothing_to_say(self, runs: Runs) -> None:
        assert self.heard(runs) is None


def reference_spans(runs: Runs, min_silence: int) -> list[tuple[int, int]]:
    """Speech runs of at least 200 ms, joined over shorter pauses: run lengths only, no state machine."""
    spans: list[tuple[int, int]] = []
    position, pause = 0, min_silence
    for kind, frames in runs:
        if kind == "silence":
            pause += frames
        elif spans and pause < min_silence:
            spans[-1] = (spans[-1][0], position + frames)
            pause = 0
        else:
            spans.append((position, position + frames))
            pause = 0
        position += frames
    return spans


alternating = st.lists(st.tuples(st.integers(1, 60), st.integers(10, 80)), min_size=1, max_size=12).map(
    lambda pairs: [run for quiet, loud in pairs for run in (("silence", quiet), ("speech", loud))]
)


@given(alternating)
@settings(deadline=None)
def test_agrees_with_run_lengths(runs: Runs) -> None:
    config = SegmenterSettings(max_utterance_ms=28_000)
    found = utterances([*runs, ("silence", 60)], config)
    if any(one.reason == "max_length" for one in found):
        return
    expected = [(a * FRAME, b * FRAME) for a, b in reference_spans(runs, config.min_silence_ms // 20)]
    assert [(one.start, one.end) for one in found] == expected


anything = st.lists(st.tuples(st.sampled_from(["speech", "silence"]), st.integers(1, 150)), max_size=15)


@given(anything)
@settings(deadline=None)
def test_invariants(runs: Runs) -> None:
    config = SegmenterSettings(max_utterance_ms=2_000)
    samples, _ = sound([*runs, ("silence", 1)])
    out = segment([*runs, ("silence", 1)], config)
    kinds = [type(one) for one in out]
    # Every start has its utterance, and they come in turn.
    assert kinds == [SpeechStarted, Utterance] * (len(out) // 2)
    assert [one.utterance for one in out] == [i // 2 + 1 for i in range(len(out))]
    found = [one for one in out if isinstance(one, Utterance)]
    for one in found:
        clip_end = one.clip_start + len(one.samples)
        np.testing.assert_array_equal(one.samples, samples[one.clip_start : clip_end])
        assert one.clip_start <= one.start < one.end <= clip_end <= one.decided_at
        assert len(one.samples) <= config.max_utterance_ms * 16
    for before, after in pairwise(found):
        assert before.clip_start + len(before.samples) <= after.clip_start


@given(anything)
@settings(deadline=None)
def test_every_end_by_silence_was_a_candidate(runs: Runs) -> None:
    before: Utterance | None = None
    for candidate, happened in candidates(
        [*runs, ("silence", 40)], SegmenterSettings(max_utterance_ms=2_000)
    ):
        for one in happened:
            if isinstance(one, Utterance) and one.reason == "silence":
                assert before is not None
                assert one.samples is before.samples
                assert (one.utterance, one.start, one.end) == (before.utterance, before.start, before.end)
        before = candidate


@pytest.mark.parametrize(
    "wrong",
    [
        {"tail_ms": 300},
        {"min_silence_ms": 100},
        {"max_utterance_ms": 28_001},
        {"start_speech_ms": 220},
        {"pre_roll_ms": -20},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"expected .*, got .*; change"):
        SegmenterSettings(**wrong)
