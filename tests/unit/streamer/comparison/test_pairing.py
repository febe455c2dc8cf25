"""Which label of one set belongs to which of the other."""

from __future__ import annotations

from emostream.streamer.comparison.labels import Label
from emostream.streamer.comparison.pairing import Pairs, pair


def spans(recording: str, *times: tuple[int, int], channel: int | None = None) -> list[Label]:
    return [Label(recording, "sad", start, end, channel) for start, end in times]


def starts(pairs: Pairs) -> list[tuple[int | None, int | None]]:
    return [(one.start_ms, two.start_ms) for one, two in pairs.both]


def test_utterances_that_overlap_by_half_go_together() -> None:
    found = pair(
        spans("a", (0, 1_000), (2_000, 3_000), (5_000, 6_000)), spans("a", (100, 1_100), (2_600, 3_600))
    )
    assert starts(found) == [(0, 100)]
    assert [label.start_ms for label in found.only_first] == [2_000, 5_000]
    assert [label.start_ms for label in found.only_second] == [2_600]


def test_each_goes_with_the_one_that_it_overlaps_most() -> None:
    found = pair(spans("a", (0, 1_000), (300, 1_300)), spans("a", (310, 1_300)))
    assert starts(found) == [(300, 310)]
    assert [label.start_ms for label in found.only_first] == [0]


def test_a_label_of_the_recording_is_that_of_each_of_its_utterances() -> None:
    found = pair(
        spans("a", (0, 1_000), (2_000, 3_000)) + spans("b", (0, 1)), [Label("a", "happy"), Label("c", "sad")]
    )
    assert starts(found) == [(0, None), (2_000, None)]
    assert {two.label for _, two in found.both} == {"happy"}
    assert [label.recording for label in found.only_first] == ["b"]
    assert [label.recording for label in found.only_second] == ["c"]


def test_two_labels_of_recordings_go_together_once() -> None:
    found = pair([Label("a", "sad"), Label("b", "sad")], [Label("a", "happy"), Label("b", "sad")])
    assert [(one.recording, two.label) for one, two in found.both] == [("a", "happy"), ("b", "sad")]


def test_channels_are_kept_apart_where_both_know_them() -> None:
    left, right = spans("a", (0, 1_000), channel=1), spans("a", (0, 1_000), channel=2)
    assert pair(left, right).both == []
    assert len(pair(left, left).both) == 1
    assert len(pair(left, spans("a", (0, 1_000))).both) == 1


def test_recordings_are_found_in_other_folders_and_formats() -> None:
    ours = spans("/data/run/a.wav", (0, 1_000)) + spans("/data/run/b.wav", (0, 1_000))
    assert len(pair(ours, spans("corpus/a.wav", (0, 1_000))).both) == 1
    assert len(pair(ours, spans("C:\\corpus\\b.flac", (0, 1_000))).both) == 1


def test_a_file_name_that_two_recordings_have_says_nothing() -> None:
    ours = spans("x/a.wav", (0, 1_000)) + spans("y/a.wav", (0, 1_000))
    assert pair(ours, spans("z/a.wav", (0, 1_000))).both == []
    assert len(pair(ours, spans("y/a.wav", (0, 1_000))).both) == 1
