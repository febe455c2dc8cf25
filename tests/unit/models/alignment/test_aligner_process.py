"""The forced aligner behind a pipe: the same alignments, and no utterance lost if the process dies."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from emostream.models import Clip, Samples, TranscriberError, Transcript, Word, load_aligner
from emostream.models.alignment.aligner_process import AlignerProcess
from emostream.models.alignment.forced import ForcedAligner
from emostream.models.alignment.word_spans import align_from_transcript
from emostream.models.worker_process import WorkerProcess
from emostream.streamer.audio.decode import decode_file

SAID = Transcript("hello there", "en", (Word("hello", 0, 8_000, 0.9), Word("there", 8_000, 16_000, 0.8)))


@pytest.fixture(scope="module")
def sound() -> Samples:
    """The first sentences of the bundled recording."""
    return decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 4 * 16_000]


@pytest.fixture
def process() -> Iterator[AlignerProcess]:
    aligner = AlignerProcess()
    yield aligner
    aligner._worker.close()


def kill(process: AlignerProcess) -> None:
    process._worker._process.kill()
    process._worker._process.wait()


def test_alignments_equal_those_in_process(process: AlignerProcess, sound: Samples) -> None:
    clips = [Clip(sound), Clip(np.zeros(0, np.float32)), Clip(sound, "pl")]
    transcripts = [SAID, None, Transcript("dzie\u0144 dobry")]
    here = ForcedAligner()
    theirs = process.align(clips, transcripts)
    assert theirs == here.align(clips, transcripts)
    assert [alignment.method for alignment in theirs] == ["forced", "even", "even"]
    assert process.name == here.name


def test_after_a_crash_one_call_uses_the_fallback(
    process: AlignerProcess,
    sound: Samples,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips, transcripts = [Clip(sound), Clip(sound)], [SAID, None]
    before = process.align(clips, transcripts)
    kill(process)
    monkeypatch.setattr(process._worker._process, "poll", lambda: None)  # it died after it was checked
    with caplog.at_level(logging.WARNING, logger="emostream"):
        during = process.align(clips, transcripts)
    assert during == [align_from_transcript(SAID, len(sound)), align_from_transcript(None, len(sound))]
    assert during[0].words == SAID.words
    assert ["its process ended; a new one" in record.message for record in caplog.records] == [True]
    assert process.align(clips, transcripts) == before


def test_without_a_restart_every_call_uses_the_fallback(
    process: AlignerProcess, sound: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(process)
    monkeypatch.setattr(process._worker, "_module", "emostream.models.types")
    for _ in range(3):
        assert process.align([Clip(sound)], [SAID]) == [align_from_transcript(SAID, len(sound))]


def test_a_restart_is_retried_after_a_system_error(
    process: AlignerProcess,
    sound: Samples,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    kill(process)
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING, logger="emostream"):
        full.setattr("subprocess.Popen", refuse)
        assert process.align([Clip(sound)], [SAID]) == [align_from_transcript(SAID, len(sound))]
    assert ["Resource temporarily unavailable" in record.message for record in caplog.records] == [True]
    assert process.align([Clip(sound)], [SAID])[0].method == "forced"


def test_invalid_arguments_are_raised(process: AlignerProcess, sound: Samples) -> None:
    with pytest.raises(ValueError, match="argument"):
        process.align([Clip(sound)], [])
    assert process.align([Clip(sound)], [SAID])[0].method == "forced"


def test_a_child_that_ends_at_once_is_reported_in_one_line() -> None:
    with pytest.raises(TranscriberError, match="its process ended: reinstall pocketsphinx"):
        _ = WorkerProcess("emostream.models.types", "nothing").name


def test_the_child_ends_when_its_owner_is_deleted() -> None:
    aligner = AlignerProcess()
    child = aligner._worker._process
    del aligner
    assert child.poll() is not None


def test_the_public_function_starts_it(sound: Samples) -> None:
    aligner = load_aligner()
    (alignment,) = aligner.align([Clip(sound)], [SAID])
    assert [word.text for word in alignment.words] == ["hello", "there"]
    assert alignment.phones
