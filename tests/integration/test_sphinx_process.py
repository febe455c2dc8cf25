"""PocketSphinx behind a pipe: the same words, no lock on the interpreter, and recovery from crashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from emostream.models import Clip, IncrementalTranscriber, Samples, TranscriberError
from emostream.models.transcription.sphinx import SphinxTranscriber
from emostream.models.transcription.sphinx_process import SphinxProcess
from emostream.streamer.audio.decode import decode_file


@pytest.fixture(scope="module")
def sound() -> Samples:
    """The first three sentences of the bundled recording."""
    return decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 11 * 16_000]


@pytest.fixture(scope="module")
def process() -> Iterator[SphinxProcess]:
    transcriber = SphinxProcess()
    yield transcriber
    transcriber._worker.close()


def test_transcripts_equal_those_in_process(process: SphinxProcess, sound: Samples) -> None:
    clips = [Clip(sound[: 4 * 16_000]), Clip(np.zeros(0, np.float32)), Clip(sound[4 * 16_000 :])]
    here = SphinxTranscriber()
    assert process.name == here.name
    theirs = process.transcribe(clips)
    assert theirs == here.transcribe(clips)
    assert theirs[0].text


def test_incremental_decoding_works_as_in_process(process: SphinxProcess, sound: Samples) -> None:
    assert isinstance(process, IncrementalTranscriber)
    clip = Clip(sound[: 4 * 16_000])
    for seconds in (2, 3):
        process.transcribe_partial(Clip(sound[: seconds * 16_000]))
    assert process.transcribe([clip]) == SphinxTranscriber().transcribe([clip])


def test_other_threads_run_while_it_decodes(process: SphinxProcess, sound: Samples) -> None:
    """A thread that sleeps 1 ms at a time gets its turns: in-process it got five in three seconds."""
    turns = 0
    decoding = threading.Event()

    def count() -> None:
        nonlocal turns
        while not decoding.is_set():
            time.sleep(0.001)
            turns += 1

    counter = threading.Thread(target=count)
    counter.start()
    process.transcribe([Clip(sound)])
    decoding.set()
    counter.join()
    assert turns > 50


def test_a_crash_fails_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    transcriber = SphinxProcess()
    try:
        assert transcriber.name
        transcriber._worker._process.kill()
        transcriber._worker._process.wait()
        monkeypatch.setattr(transcriber._worker._process, "poll", lambda: None)  # after it was checked
        with pytest.raises(TranscriberError, match="its process ended; a new one"):
            transcriber.transcribe([Clip(np.zeros(1_600, np.float32))])
        assert len(transcriber.transcribe([Clip(np.zeros(1_600, np.float32))])) == 1
    finally:
        transcriber._worker.close()


def test_the_child_ends_when_its_owner_is_deleted() -> None:
    transcriber = SphinxProcess()
    child = transcriber._worker._process
    del transcriber
    assert child.poll() is not None
