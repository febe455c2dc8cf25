"""Noise and real speech, cut by the default detector: which utterances are taken for speech."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks.speech_presence import clips_of, corpus_files
from emostream.models import Clip, SpeechPresence, load_speech_detector
from emostream.streamer.audio.decode import decode_file
from tests.support.shared import DATA, needs_data

pytestmark = [needs_data, pytest.mark.data]

DETECTOR: Final = load_speech_detector()


def presences(path: Path) -> list[SpeechPresence]:
    return DETECTOR.detect([Clip(clip) for clip in clips_of(decode_file(path))])


def files_of(corpus: str, count: int) -> Sequence[Path]:
    """Evenly spread over the corpus; skips where it is not there."""
    if not (DATA / corpus).is_dir():
        pytest.skip(f"needs the corpus {DATA / corpus}")
    files = corpus_files(DATA, corpus)
    return [files[place] for place in np.linspace(0, len(files) - 1, count).astype(int)]


def test_noise_gets_no_emotion_that_is_believed() -> None:
    """At most 2 % of the clips. 80 of 400: one may pass."""
    passed = [
        path.name
        for path in files_of("noise", 80)
        if any(one.reason is None and not one.doubtful for one in presences(path))
    ]
    assert len(passed) <= 2, passed


@pytest.mark.parametrize("corpus", ["ravdess", "crema_d", "nemo", "banglaser", "librispeech"])
def test_real_speech_keeps_its_label(corpus: str) -> None:
    lost = [
        path.name
        for path in files_of(corpus, 40)
        if (found := presences(path)) and all(one.reason is not None for one in found)
    ]
    assert not lost


def test_the_recording_of_a_speech_is_speech() -> None:
    found = presences(DATA / "recordings" / "jfk.flac")
    assert found
    assert not any(one.reason or one.doubtful for one in found)
