"""Statistics over results of replay: time, shares, transitions; and results that are damaged."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.summary.export import Summary
from emostream.streamer.summary.reader import find_results, read_results
from emostream.streamer.summary.statistics import longest_recordings, ordered_labels
from tests.support.result_lines import (
    TEN_SECONDS,
    as_json,
    as_text,
    closed,
    failed,
    final,
    no_emotion,
    read,
    session,
    summed,
    talk,
    write,
)


def test_time_per_emotion() -> None:
    result = as_json(summed(TEN_SECONDS))
    assert result["labels"] == ["happy", "sad"]
    assert (result["length_ms"], result["speech_ms"], result["lost_ms"]) == (10_000, 5_000, 500)
    assert result["silence_ms"] == 4_500
    assert (result["utterances"], result["errors"], result["dominant"]) == (3, 1, "sad")
    assert result["emotions"]["sad"] == {
        "ms": 4_000,
        "share": 0.8,
        "utterances": 2,
        "confidence": 0.8,  # 3 s of 0.9 and 1 s of 0.5
        "uncertain": 1,
    }
    assert result["emotions"]["happy"]["share"] == 0.2
    assert result["confidence"] == 0.74
    assert (result["uncertain"], result["uncertain_share"]) == (2, 0.666667)
    assert result["reasons"] == {"low_snr": 2, "too_short": 1}
    assert result["files"][0]["state"] == "complete"


def test_by_utterances_each_counts_once() -> None:
    result = as_json(Summary(read(TEN_SECONDS), by="utterances"))
    assert result["emotions"]["sad"]["share"] == 0.666667
    assert result["emotions"]["sad"]["confidence"] == 0.7
    # One long angry utterance, two short sad ones.
    lines = session(
        final(1, "angry", 0, 9_000),
        final(2, "sad", 9_000, 10_000),
        final(3, "sad", 10_000, 11_000),
        closed(11_000),
    )
    assert as_json(Summary(read(lines), by="time"))["dominant"] == "angry"
    assert as_json(Summary(read(lines), by="utterances"))["dominant"] == "sad"


def test_a_sound_without_speech_is_counted_and_its_time_is_silence() -> None:
    lines = session(
        final(1, "sad", 0, 1_000), no_emotion(2, 2_000, 5_000), final(3, "sad", 6_000, 7_000), closed(9_000)
    )
    result = as_json(summed(lines))
    assert result["no_emotion"] == {"no_speech": 1}
    assert (result["utterances"], result["errors"]) == (2, 0)
    assert (result["speech_ms"], result["silence_ms"]) == (2_000, 7_000)
    assert result["transitions"] == {"sad": {"sad": 0}}  # not across it
    assert "no emotion" in as_text(summed(lines))
    assert "no emotion" not in as_text(summed(TEN_SECONDS))


def test_results_that_break_off_last_until_their_last_sound() -> None:
    assert as_json(summed(session(no_emotion(1, 2_000, 5_000))))["length_ms"] == 5_000


def test_transitions() -> None:
    result = as_json(summed(talk("sad", "sad", "angry", "sad", "sad")))
    assert result["transitions"] == {"angry": {"angry": 0, "sad": 1}, "sad": {"angry": 1, "sad": 2}}
    assert result["transition_shares"]["angry"] == {"angry": 0, "sad": 1}
    assert result["transition_shares"]["sad"] == {"angry": 0.333333, "sad": 0.666667}


def test_no_transition_across_recordings_or_over_an_utterance_without_a_result() -> None:
    assert not summed(talk("sad"), talk("angry")).total.transitions
    interrupted = session(
        final(1, "sad", 0, 1_000), failed(2), final(3, "angry", 2_000, 3_000), closed(4_000)
    )
    assert not summed(interrupted).total.transitions
    last_label = as_json(summed(talk("sad", "angry")))
    assert last_label["transition_shares"]["angry"] == {"angry": None, "sad": None}


def test_lines_of_several_recordings_may_alternate() -> None:
    a, b = talk("sad", "happy", "sad", file="a.wav"), talk("angry", "angry", "angry", file="b.wav")
    mixed = [line for pair in zip(a, b, strict=True) for line in pair]
    first, second = read(mixed)
    assert (first.name, second.name) == ("a.wav", "b.wav")
    assert first.statistics.transitions == {("sad", "happy"): 1, ("happy", "sad"): 1}
    assert second.statistics.transitions == {("angry", "angry"): 2}


def test_sessions_without_a_name_end_at_closed_or_where_numbering_restarts() -> None:
    cut = talk("sad", "sad")[:-1]
    found = read([*talk("angry"), *cut, *talk("happy"), *talk("happy", "happy")])
    assert [each.name for each in found] == ["r", "r (2)", "r (3)", "r (4)"]
    assert [each.statistics.all.utterances for each in found] == [1, 2, 1, 2]
    assert [each.state for each in found] == ["complete", "incomplete", "complete", "complete"]


def test_an_incomplete_recording_has_the_length_of_its_last_event() -> None:
    (recording,) = read(
        session(final(1, "sad", 500, 2_000), messages.SpeechStarted(utterance=2, start_ms=2_600))
    )
    assert (recording.state, recording.statistics.length_ms, recording.statistics.silence_ms) == (
        "incomplete",
        2_600,
        1_100,
    )
    (recording,) = read(session(final(1, "sad", 0, 1_000), closed(5_000, reason="error")))
    assert (recording.state, recording.statistics.length_ms) == ("partial", 5_000)
    text = as_text(summed(talk("sad")[:-1]))
    assert "r (incomplete)" in text
    assert "1 whose results break off" in text


def test_an_incomplete_last_line_is_no_error() -> None:
    *lines, last = talk("sad", "happy")
    (recording,) = read([*lines, last[:20]], end="")
    assert (recording.state, recording.statistics.all.utterances) == ("incomplete", 2)
    with pytest.raises(SourceError, match=r"r\.jsonl:3"):
        read([*lines, last[:20]])  # a complete line
    with pytest.raises(SourceError, match=r"r\.jsonl:1"):
        read([last[:20]], end="")  # no valid line before it


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "{}",
        "[1]",
        '{"type": "start", "encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1}',
        '{"type": "emotion", "seq": 3, "label": "sad"}',
        '{"type": "closed", "file": 7, "reason": "end_of_stream", "totals": {}}',
        json.dumps(json.loads(messages.encode(final(2, "sad", 2_000, 1_000)))),
        "[" * 100_000,
        "x" * (3 << 20),
    ],
    ids=["text", "empty", "list", "a client's", "fields missing", "name", "backwards", "deep", "long"],
)
def test_a_line_that_is_no_event_is_named(line: str) -> None:
    with pytest.raises(SourceError, match=r"^expected an event of emostream replay, got .* r\.jsonl:3 "):
        read([talk("sad")[0], "", line, talk("sad")[1]])


def test_invalid_utf_8_is_no_event() -> None:
    with pytest.raises(SourceError, match=r"r\.jsonl:1 "):
        read_results(io.BytesIO(b'{"type":"ack","received_samples":1,"file":"\xff"}\n'), "r.jsonl", "r")


def test_a_byte_order_mark_empty_lines_and_messages_to_a_client_are_no_errors() -> None:
    ready = '{"type":"ack","received_samples":16000}'
    lines = ["\ufeff" + ready, "", *talk("sad"), "  "]
    assert [each.statistics.all.ms for each in read(lines, end="\r\n")] == [1_000]
    with pytest.raises(SourceError, match=r"expected events .* in r\.jsonl, got none"):
        read([ready])


def test_labels_are_those_that_occur() -> None:
    assert ordered_labels(["neutral", "wonder", "sad", "fear", "angry"]) == [
        "angry",
        "sad",
        "neutral",
        "fear",
        "wonder",
    ]
    assert as_json(summed(talk("wonder", "neutral")))["labels"] == ["neutral", "wonder"]


def test_the_longest_are_kept_in_their_order() -> None:
    found = [*read(talk(*["sad"] * 2)), *read(talk("sad")), *read(talk(*["sad"] * 3))]
    assert longest_recordings(found, 2) == [found[0], found[2]]
    assert longest_recordings(found, 0) == found


def test_folders_patterns_and_names(tmp_path: Path) -> None:
    for name in ("b.wav.jsonl", "in/a.wav.jsonl", "in/c.flac.partial.jsonl", "notes.txt"):
        write(tmp_path / name, talk("sad"))
    found, failures = find_results([tmp_path])
    assert not failures
    assert [file.name for file in found] == ["b.wav", str(Path("in/a.wav")), str(Path("in/c.flac"))]
    assert [file.read()[0].state for file in found] == ["complete", "complete", "partial"]
    # A file counts once however often it is named; so does a recording that was replayed again.
    write(tmp_path / "in" / "c.flac.jsonl", talk("sad"))
    found, _ = find_results([tmp_path, tmp_path / "in", tmp_path / "in" / "*.jsonl", Path("-"), Path("-")])
    assert [Path(file.printable_name).name for file in found[:-1]] == [
        "b.wav.jsonl",
        "a.wav.jsonl",
        "c.flac.jsonl",
    ]
    assert found[-1].printable_name == "standard input"


def test_missing_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, failures = find_results([tmp_path / "empty", tmp_path / "*.jsonl", tmp_path / "a.jsonl"])
    folder, pattern, file = (str(failure) for failure in failures)
    assert "in the folder" in folder
    assert "results like" in pattern
    assert "no such file" in file


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"gr\xfcn.wav.jsonl")
    write(path, talk("sad"))
    found, _ = find_results([tmp_path])
    summary = Summary([recording for file in found for recording in file.read()])
    assert "gr\ufffdn.wav" in as_text(summary)
    assert as_json(summary)["files"][0]["file"] == "gr\ufffdn.wav"


def on_channel(channel: int, event: Any) -> Any:
    return structs.replace(event, channel=channel)


def test_channels_are_counted_on_their_own() -> None:
    """Two people on one call: what one says is no transition from what the other said, and each was silent
    while the other spoke.
    """
    lines = session(
        on_channel(1, final(1, "angry", 0, 2_000)),
        on_channel(2, final(2, "neutral", 1_000, 4_000)),  # both speak
        on_channel(1, final(3, "sad", 5_000, 6_000)),
        on_channel(2, no_emotion(4, 6_000, 7_000)),
        on_channel(2, final(5, "happy", 7_000, 8_000)),  # not after the neutral one: something was between
        on_channel(1, final(6, "angry", 8_000, 9_000)),
        closed(10_000, 500),
        file="call.wav",
    )
    first, second = read(lines)
    assert (first.name, first.channel, second.name, second.channel) == ("call.wav", 1, "call.wav", 2)
    assert first.statistics.transitions == {("angry", "sad"): 1, ("sad", "angry"): 1}
    assert second.statistics.transitions == {}
    assert [each.statistics.all.ms for each in (first, second)] == [4_000, 4_000]
    assert [each.statistics.silence_ms for each in (first, second)] == [5_500, 5_500]
    assert second.statistics.no_emotion == {"no_speech": 1}
    assert not first.statistics.no_emotion
    assert {each.state for each in (first, second)} == {"complete"}
    result = as_json(summed(lines))
    assert result["recordings"] == 1
    assert [(each["file"], each["channel"]) for each in result["files"]] == [("call.wav", 1), ("call.wav", 2)]
    text = as_text(summed(lines))
    assert "1 (2 channels apart), 0:20 min" in text
    assert "call.wav, channel 2" in text


def test_an_utterance_without_a_result_ends_the_row_of_its_own_channel() -> None:
    started = [
        messages.SpeechStarted(utterance=n, channel=c, start_ms=n * 1_000) for n, c in ((2, 2), (3, 1))
    ]
    first, second = read(
        session(
            on_channel(1, final(1, "sad", 0, 1_000)),
            *started,
            failed(2),
            failed(3),
            on_channel(1, final(4, "sad", 5_000, 6_000)),
            closed(9_000),
        )
    )
    assert first.statistics.transitions == {}
    assert first.statistics.failed == 1
    assert (second.channel, second.statistics.failed, second.statistics.all.utterances) == (2, 1, 0)


def test_another_speaker_that_fails_does_not_end_the_row() -> None:
    (first, _) = read(
        session(
            on_channel(1, final(1, "sad", 0, 1_000)),
            messages.SpeechStarted(utterance=2, channel=2, start_ms=1_000),
            failed(2),
            on_channel(1, final(3, "sad", 5_000, 6_000)),
        )
    )
    assert first.statistics.transitions == {("sad", "sad"): 1}
