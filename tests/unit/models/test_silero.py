"""Silero's network on a whole clip: against the library that ships it, and against itself in parts."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from emostream.models import Samples, VoiceActivityError, silero
from emostream.streamer.audio.decode import decode_file


@pytest.fixture(scope="module")
def speech() -> Samples:
    return decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 6 * 16_000 // 512 * 512]


def test_a_clip_has_the_probabilities_of_the_original(speech: Samples) -> None:
    reference = np.ravel(get_vad_model()(speech.copy()))
    # The original zeroes the end of its last window when it makes the context of the first.
    np.testing.assert_allclose(silero.speech_probabilities(speech)[:-1], reference[:-1], atol=1e-4)


def test_windows_one_by_one_are_those_of_the_clip(speech: Samples) -> None:
    padded = np.concatenate([np.zeros(silero.CONTEXT, np.float32), speech])
    state, one_by_one = silero.initial_state(), []
    for start in range(0, len(speech), silero.WINDOW):
        window = padded[start : start + silero.CONTEXT + silero.WINDOW]
        (probability,), state = silero.classify_windows(window[np.newaxis], state)
        one_by_one.append(probability)
    np.testing.assert_allclose(one_by_one, silero.speech_probabilities(speech), atol=1e-5)


def test_what_follows_does_not_change_the_beginning(speech: Samples) -> None:
    whole = silero.speech_probabilities(speech)
    np.testing.assert_allclose(silero.speech_probabilities(speech[: 100 * 512]), whole[:100], atol=1e-6)


@pytest.mark.parametrize(("samples", "windows"), [(0, 0), (1, 1), (512, 1), (513, 2)])
def test_the_last_window_is_padded(samples: int, windows: int) -> None:
    assert silero.speech_probabilities(np.zeros(samples, np.float32)).shape == (windows,)


def test_a_missing_file_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    silero.silero_session.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(VoiceActivityError, match=r"expected faster-whisper's silero_vad\*.onnx, found none"):
        silero.silero_session()
