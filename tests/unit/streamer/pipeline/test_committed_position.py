"""What is committed: everything before the first audio that some result still needs."""

from __future__ import annotations

import pytest

from emostream.streamer.pipeline.committed_position import CommittedPosition
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event

NO_SPEECH = messages.NoEmotion(utterance=1, start_ms=0, end_ms=900, reason="no_speech", speech=0.1)


def failed(code: str) -> messages.Error:
    return messages.Error(code=code, message="", fatal=False, utterance=1)


def test_an_utterance_in_progress_is_not_committed() -> None:
    committed = CommittedPosition(16_000)
    assert committed.source_frames == 0
    committed.advance(6_400)
    assert committed.source_frames == 6_400


@pytest.mark.parametrize("final", [emotion_event(1, "sad"), NO_SPEECH, failed("analysis_failed")])
def test_an_utterance_is_not_committed_before_its_result(final: messages.ServerEvent) -> None:
    committed = CommittedPosition(16_000)
    committed.add_utterance(1, 3_200)
    committed.add_utterance(2, 9_600)
    committed.advance(32_000)
    assert committed.source_frames == 3_200
    assert not committed.note_published(failed("transcription_failed"))  # the emotion follows
    assert committed.source_frames == 3_200
    assert committed.note_published(final)
    assert committed.source_frames == 9_600


def test_gaps_do_not_count_in_the_source() -> None:
    """At 8 kHz: a second of audio, a gap of half a second, a second of audio, a gap of one."""
    committed = CommittedPosition(8_000)
    committed.add_gap(8_000, 500)
    committed.add_gap(16_000, 1_000)
    positions = []
    for clock_ms in (0, 999, 1_000, 1_200, 1_500, 1_600, 2_499, 2_900, 3_500, 4_000):
        committed.advance(clock_ms * 16)
        positions.append(committed.source_frames)
    assert positions == [0, 7_992, 8_000, 8_000, 8_000, 8_800, 15_992, 16_000, 16_000, 20_000]


def test_a_reader_is_told_what_the_events_that_it_has_commit() -> None:
    """Nothing is committed for a client before it has the final."""
    log = EventLog("s", keep=3)
    log.commit(100)
    log.append(emotion_event(1, "sad"))
    log.commit(200)
    log.commit(250)
    with log.reader(policy="block") as reader:
        assert log.committed_samples(reader.last_seq) == 100
        reader.pop()
        assert log.committed_samples(reader.last_seq) == 250
    for utterance in (2, 3, 4, 5):
        log.append(emotion_event(utterance, "sad"))
        log.commit(utterance * 200)
    assert [log.committed_samples(seq) for seq in range(1, 6)] == [0, 0, 600, 800, 1_000]  # the last three
