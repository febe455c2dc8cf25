"""The checkpoint on Whisper's encoder, with the real weights where their packages are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emostream.models import Alignment, Clip, load_recognizer
from emostream.models.checkpoint_files import BUNDLED_WHISPER
from emostream.models.recognition import Recognition
from tests.support.demo_speech import demo_speech
from tests.support.imported_modules import modules_of_replay
from tests.support.whisper_weights import packaged_whisper


@pytest.fixture(scope="module")
def graph() -> Recognition:
    return load_recognizer(BUNDLED_WHISPER, device="cpu", whisper=packaged_whisper("base"))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [Clip(demo_speech(ms, place)) for place, ms in enumerate((900, 2_500, 1_600, 4_000))]


def test_a_clip_alone_has_the_result_that_it_has_in_a_batch(graph: Recognition, clips: list[Clip]) -> None:
    """Live utterances come alone, those of an archive do not."""
    batch = graph.encode(clips)
    together = graph.fuse(batch, [None] * len(clips), graph.align(clips, [None] * len(clips)))
    for clip, code, prediction in zip(clips, batch, together, strict=True):
        (alone,) = graph.encode([clip])
        (single,) = graph.fuse([alone], [None], [Alignment()])
        assert alone.voice is not None
        assert code.voice is not None
        np.testing.assert_allclose(alone.voice, code.voice, atol=1e-3)
        np.testing.assert_allclose(single.probabilities, prediction.probabilities, atol=1e-4)


def test_words_and_emotion_need_neither_torch_nor_transformers(tmp_path: Path) -> None:
    folder = packaged_whisper("base")
    modules = modules_of_replay(tmp_path, "--asr", str(folder), "--device", "cpu")
    assert {"onnxruntime", "ctranslate2"} <= modules
    assert not {"torch", "transformers"} & modules
