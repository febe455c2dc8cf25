"""Without PocketSphinx: emotion and Whisper work, and what cannot says so in one line."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from emostream.models import Clip, TranscriberError, Transcript, Word, load_aligner, load_transcriber
from emostream.models.sphinx_availability import is_pocketsphinx_installed
from emostream.streamer.cli import doctor


@pytest.fixture(autouse=True)
def no_pocketsphinx(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pocketsphinx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)


def test_it_is_absent() -> None:
    assert not is_pocketsphinx_installed()


def test_asked_for_by_name_it_is_one_line() -> None:
    with pytest.raises(
        TranscriberError, match=r"not installed: pip install pocketsphinx .*whisper"
    ) as caught:
        load_transcriber("pocketsphinx")
    assert "\n" not in str(caught.value)


def test_forced_alignment_is_one_line() -> None:
    with pytest.raises(TranscriberError, match="pip install pocketsphinx"):
        load_aligner()


def test_a_model_that_wants_spans_gets_those_of_the_transcript(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="emostream")
    aligner = load_aligner(optional=True)
    (message,) = caplog.messages
    assert message.startswith("Words are placed by the transcriber alone, without phones")
    words = (Word("one", 0, 8_000), Word("two", 8_000, 16_000))
    clip = Clip(np.zeros(16_000, np.float32))
    timed, silent = aligner.align([clip, clip], [Transcript("one two", "en", words), None])
    assert (timed.words, timed.method, timed.phones) == (words, "word_times", ())
    assert silent.words == ()


def test_the_doctor_notes_it() -> None:
    result = doctor._pocketsphinx()
    assert result.status == "note"
    assert "not installed" in result.text
    assert "\n" not in result.text
