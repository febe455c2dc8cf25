"""Frames and flags to utterances: by table, by an independent reference, by invariants."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emostream.streamer.config import SegmenterSettings
from emostream.streamer.errors import ConfigError
from emostream.streamer.pipeline.segmenter import Segmenter, SpeechStarted, Utterance, frame_energies
from tests.support.fakes import FRAME, silence, voice

Runs = list[tuple[str, int]]  # ("speech" | "silence", frames)
DEFAULT = SegmenterSettings()


def stream(runs: Runs) -> tuple[np.ndarray, list[bool]]:
    """Samples and flags. Speech is noise, silence is zeros."""
    parts = [
        voice(frames * 20, seed=i) if kind == "speech" else silence(frames * 20)
        for i, (kind, frames) in enumerate(runs)
    ]
    flags = [kind == "speech" for kind, frames in runs for _ in range(frames)]
    return np.concatenate(parts), flags


def segment(runs: Runs, config: SegmenterSettings = DEFAULT) -> list[SpeechStarted | Utterance]:
    samples, flags = stream(runs)
    segmenter = Segmenter(config)
    out: list[SpeechStarted | Utterance] = []
    for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
        out += segmenter.push(frame, flag)
    return out + segmenter.flush("end_of_stream")


def utterances(runs: Runs, config: SegmenterSettings = DEFAULT) -> list[Utterance]:
    return [result for result in segment(runs, config) if isinstance(result, Utterance)]


def spans_ms(found: list[Utterance]) -> list[tuple[int, int, str]]:
    return [(utterance.start // 16, utterance.end // 16, utterance.reason) for utterance in found]


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
            id="one frame of speech in the pause does not move the end",
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
    (utterance,) = utterances([("silence", 50), ("speech", 50), ("silence", 50)])
    assert utterance.clip_start == (1000 - DEFAULT.pre_roll_ms) * 16
    assert len(utterance.samples) == (DEFAULT.pre_roll_ms + 1000 + DEFAULT.tail_ms) * 16


def test_the_end_is_decided_when_the_silence_has_lasted() -> None:
    (utterance,) = utterances([("silence", 50), ("speech", 50), ("silence", 50)])
    assert utterance.decided_at == (2000 + DEFAULT.min_silence_ms) * 16


def test_speech_is_announced_when_it_has_lasted_long_enough() -> None:
    samples, flags = stream([("silence", 20), ("speech", 20)])
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
        utterance
        for frame in samples.reshape(-1, FRAME)
        for utterance in segmenter.push(frame, True)
        if isinstance(utterance, Utterance)
    ]
    found += [utterance for utterance in segmenter.flush("end_of_stream") if isinstance(utterance, Utterance)]
    first, second = found
    assert first.reason == "max_length"
    assert 3_000 * 16 <= first.end <= 3_100 * 16
    assert second.clip_start == first.clip_start + len(first.samples)
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples]), samples)


def test_hangover_far_below_the_voice_is_not_speech() -> None:
    """A VAD that classifies faint noise as speech does not make the utterance longer."""
    segmenter = Segmenter(DEFAULT)
    faint = voice(400, level=0.1 * 10 ** (-40 / 20))
    out: list[SpeechStarted | Utterance] = []
    for frame in np.concatenate([faint, voice(1_000), faint]).reshape(-1, FRAME):
        out += segmenter.push(frame, True)
    for frame in silence(1_000).reshape(-1, FRAME):
        out += segmenter.push(frame, False)
    (utterance,) = [utterance for utterance in out if isinstance(utterance, Utterance)]
    assert (utterance.start // 16, utterance.end // 16) == (400, 1_400)


def test_flush_ends_the_utterance_here_and_nothing_else_changes() -> None:
    segmenter = Segmenter(DEFAULT)
    for frame in voice(1_000).reshape(-1, FRAME):
        segmenter.push(frame, True)
    (utterance,) = segmenter.flush("flush")
    assert isinstance(utterance, Utterance)
    assert (utterance.reason, utterance.end // 16) == ("flush", 1_000)
    assert segmenter.flush("flush") == []


def test_a_gap_moves_the_clock() -> None:
    segmenter = Segmenter(DEFAULT)
    segmenter.skip(500)
    out = [
        utterance for frame in voice(1_000).reshape(-1, FRAME) for utterance in segmenter.push(frame, True)
    ]
    assert out == [SpeechStarted(1, 10_000 * 16)]


def candidates(
    runs: Runs, config: SegmenterSettings = DEFAULT
) -> list[tuple[Utterance | None, list[object]]]:
    """After every frame: the candidate, and the results of the frame."""
    samples, flags = stream(runs)
    segmenter = Segmenter(config)
    seen: list[tuple[Utterance | None, list[object]]] = []
    for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
        results = segmenter.push(frame, flag)
        seen.append((segmenter.candidate, [*results]))
    return seen


class TestCandidate:
    def test_it_exists_as_soon_as_the_tail_is_complete(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)])
        first = next(i for i, (candidate, _) in enumerate(seen) if candidate is not None)
        assert first == 50 + DEFAULT.tail_ms // 20 - 1
        candidate = seen[first][0]
        assert candidate is not None
        assert len(candidate.samples) == (1000 + DEFAULT.tail_ms) * 16

    def test_without_a_tail_it_exists_from_the_first_silent_frame(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)], SegmenterSettings(tail_ms=0))
        assert next(i for i, (candidate, _) in enumerate(seen) if candidate is not None) == 50

    def test_the_final_holds_its_very_samples(self) -> None:
        seen = candidates([("speech", 50), ("silence", 40)])
        before = [candidate for candidate, _ in seen if candidate is not None]
        (final,) = [
            utterance for _, results in seen for utterance in results if isinstance(utterance, Utterance)
        ]
        assert all(candidate.samples is final.samples for candidate in before)
        assert seen[-1][0] is None

    def test_speech_withdraws_it(self) -> None:
        seen = candidates([("speech", 50), ("silence", 20), ("speech", 20), ("silence", 40)])
        distinct = list(dict.fromkeys(id(candidate) for candidate, _ in seen if candidate is not None))
        assert len(distinct) == 2
        (final,) = [
            utterance for _, results in seen for utterance in results if isinstance(utterance, Utterance)
        ]
        assert final.end == 90 * FRAME
        confirmed = 70 + DEFAULT.start_speech_ms // 20 - 1
        assert seen[confirmed - 1][0] is not None
        assert seen[confirmed][0] is None

    def test_a_loud_unconfirmed_burst_does_not_change_it(self) -> None:
        """However loud: what is not confirmed speech does not count for the peak."""
        samples, flags = stream([("speech", 50), ("silence", 12), ("speech", 2), ("silence", 40)])
        samples[: 25 * FRAME] *= 10 ** (-30 / 20)  # within the range of the voice, not of the burst
        samples[62 * FRAME : 64 * FRAME] *= 30
        segmenter, found, final = Segmenter(DEFAULT), [], None
        for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
            for utterance in segmenter.push(frame, flag):
                final = utterance if isinstance(utterance, Utterance) else final
            if segmenter.candidate is not None:
                found.append(segmenter.candidate)
        assert final is not None
        assert all(utterance.samples is final.samples for utterance in found)
        assert final.start == 0

    @pytest.mark.parametrize("reason", ["flush", "end_of_stream"])
    def test_a_pause_that_ends_early_uses_it_too(self, reason: str) -> None:
        samples, flags = stream([("speech", 50), ("silence", 15)])
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

    def test_unconfirmed_speech_has_none(self) -> None:
        assert not [
            utterance
            for utterance, _ in candidates([("speech", 9), ("silence", 50)])
            if utterance is not None
        ]


class TestPartialUtterance:
    def partial_utterance(self, runs: Runs) -> Utterance | None:
        samples, flags = stream(runs)
        segmenter = Segmenter(DEFAULT)
        for frame, flag in zip(samples.reshape(-1, FRAME), flags, strict=True):
            segmenter.push(frame, flag)
        return segmenter.partial_utterance()

    def test_it_is_all_speech_so_far(self) -> None:
        utterance = self.partial_utterance([("silence", 50), ("speech", 100)])
        assert utterance is not None
        assert (utterance.reason, utterance.utterance) == ("speaking", 1)
        assert (utterance.start, utterance.end) == (50 * FRAME, 150 * FRAME)
        assert len(utterance.samples) == 100 * FRAME + DEFAULT.pre_roll_ms * 16

    @pytest.mark.parametrize(
        "runs",
        [
            [("silence", 50)],
            [("speech", 8)],
            [("speech", 50), ("silence", 15)],
            [("speech", 50), ("silence", 30)],
        ],
        ids=["silence", "nothing confirmed", "a pause", "over"],
    )
    def test_otherwise_there_is_none(self, runs: Runs) -> None:
        assert self.partial_utterance(runs) is None


def reference_spans(runs: Runs, min_silence: int) -> list[tuple[int, int]]:
    """Speech runs of at least 200 ms, joined across shorter pauses: run lengths only, no state machine."""
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
    if any(utterance.reason == "max_length" for utterance in found):
        return
    expected = [(a * FRAME, b * FRAME) for a, b in reference_spans(runs, config.min_silence_ms // 20)]
    assert [(utterance.start, utterance.end) for utterance in found] == expected


anything = st.lists(st.tuples(st.sampled_from(["speech", "silence"]), st.integers(1, 150)), max_size=15)


@given(st.lists(st.tuples(st.sampled_from(["speech", "silence"]), st.integers(1, 60)), max_size=8))
@settings(deadline=None)
def test_silence_may_be_pushed_at_once(runs: Runs) -> None:
    """While idle: what follows is the same, its clip too."""
    samples, flags = stream([("silence", 40), *runs, ("silence", 60)])
    frames = samples.reshape(-1, FRAME)
    segmenter, out, place = Segmenter(DEFAULT), [], 0
    while place < len(frames):
        piece = slice(place, place + 7)
        if segmenter.idle and not any(flags[piece]):
            segmenter.push_silence(frames[piece])
        else:
            for frame, flag in zip(frames[piece], flags[piece], strict=True):
                out += segmenter.push(frame, flag)
        place += 7
        assert segmenter.position == min(place, len(frames)) * FRAME
    out += segmenter.flush("end_of_stream")
    expected = segment([("silence", 40), *runs, ("silence", 60)])
    assert [_fields(one) for one in out] == [_fields(one) for one in expected]


@given(alternating, st.integers(1, 40))
@settings(deadline=None)
def test_energies_may_be_computed_for_many_frames_at_once(runs: Runs, size: int) -> None:
    samples, flags = stream([*runs, ("silence", 60)])
    frames = samples.reshape(-1, FRAME)
    at_once = [
        energy for at in range(0, len(frames), size) for energy in frame_energies(frames[at : at + size])
    ]
    np.testing.assert_allclose(at_once, np.square(frames, dtype=np.float64).sum(axis=1), rtol=1e-5)
    one_by_one, given_energies = Segmenter(DEFAULT), Segmenter(DEFAULT)
    for frame, flag, energy in zip(frames, flags, at_once, strict=True):
        expected = one_by_one.push(frame, flag)
        assert [_fields(one) for one in given_energies.push(frame, flag, energy)] == [
            _fields(one) for one in expected
        ]


def _fields(result: SpeechStarted | Utterance) -> list[object]:
    values = [getattr(result, name) for name in result.__dataclass_fields__]
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


@given(anything)
@settings(deadline=None)
def test_invariants(runs: Runs) -> None:
    config = SegmenterSettings(max_utterance_ms=2_000)
    samples, _ = stream([*runs, ("silence", 1)])
    out = segment([*runs, ("silence", 1)], config)
    kinds = [type(utterance) for utterance in out]
    # Every start has its utterance, and they alternate.
    assert kinds == [SpeechStarted, Utterance] * (len(out) // 2)
    assert [utterance.utterance for utterance in out] == [i // 2 + 1 for i in range(len(out))]
    found = [utterance for utterance in out if isinstance(utterance, Utterance)]
    for utterance in found:
        clip_end = utterance.clip_start + len(utterance.samples)
        np.testing.assert_array_equal(utterance.samples, samples[utterance.clip_start : clip_end])
        assert utterance.clip_start <= utterance.start < utterance.end <= clip_end <= utterance.decided_at
        assert len(utterance.samples) <= config.max_utterance_ms * 16
    for before, after in pairwise(found):
        assert before.clip_start + len(before.samples) <= after.clip_start


@given(anything)
@settings(deadline=None)
def test_every_end_by_silence_was_a_candidate(runs: Runs) -> None:
    before: Utterance | None = None
    for candidate, results in candidates([*runs, ("silence", 40)], SegmenterSettings(max_utterance_ms=2_000)):
        for utterance in results:
            if isinstance(utterance, Utterance) and utterance.reason == "silence":
                assert before is not None
                assert utterance.samples is before.samples
                assert (utterance.utterance, utterance.start, utterance.end) == (
                    before.utterance,
                    before.start,
                    before.end,
                )
        before = candidate


@pytest.mark.parametrize(
    "invalid",
    [
        {"tail_ms": 300},
        {"min_silence_ms": 100},
        {"max_utterance_ms": 28_001},
        {"start_speech_ms": 220},
        {"pre_roll_ms": -20},
    ],
)
def test_settings_that_contradict_each_other_are_refused(invalid: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"expected .*, got .*; change"):
        SegmenterSettings(**invalid)
