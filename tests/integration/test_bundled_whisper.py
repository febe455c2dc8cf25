"""The checkpoint on Whisper's encoder, with the real weights where their packages are installed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from emostream.models import Alignment, Clip, SpeakerBaseline, Transcript
from emostream.models.checkpoint import BUNDLED_WHISPER
from emostream.models.encoders.onnx import GRAPH_FILE
from emostream.models.recognizer import EmotionRecognizer
from tests.support.demo_speech import demo_speech
from tests.support.whisper_weights import packaged_whisper


@pytest.fixture(scope="module")
def graph() -> EmotionRecognizer:
    return EmotionRecognizer.load(BUNDLED_WHISPER, device="cpu", whisper=packaged_whisper("base"))


@pytest.fixture(scope="module")
def torch_alone(tmp_path_factory: pytest.TempPathFactory) -> EmotionRecognizer:
    folder = shutil.copytree(BUNDLED_WHISPER, tmp_path_factory.mktemp("plain") / "checkpoint")
    (folder / GRAPH_FILE).unlink()
    return EmotionRecognizer.load(folder, device="cpu", whisper=packaged_whisper("base"))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [Clip(demo_speech(ms, place)) for place, ms in enumerate((900, 2_500, 1_600, 4_000))]


def test_the_graph_has_the_probabilities_and_voices_of_torch(
    graph: EmotionRecognizer, torch_alone: EmotionRecognizer, clips: list[Clip]
) -> None:
    assert "ONNX Runtime" in graph.name
    assert graph.baseline is not None
    speaker = SpeakerBaseline()
    for clip in clips:
        (one,), (other,) = graph.encode([clip]), torch_alone.encode([clip])
        assert one.voice is not None
        assert other.voice is not None
        np.testing.assert_allclose(one.voice, other.voice, atol=1e-3)
        found, expected = (
            recognizer.fuse([code], [Transcript("the door is open")], [Alignment()], [speaker])[0]
            for recognizer, code in ((graph, one), (torch_alone, other))
        )
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        speaker = speaker.updated(one.voice, 0.5, graph.baseline)


def test_a_clip_alone_has_the_result_that_it_has_in_a_batch(
    graph: EmotionRecognizer, clips: list[Clip]
) -> None:
    """Alone it takes the graph, in a batch torch: live utterances come alone, those of an archive do not."""
    batch = graph.encode(clips)
    together = graph.fuse(batch, [None] * len(clips), graph.align(clips, [None] * len(clips)))
    for clip, code, prediction in zip(clips, batch, together, strict=True):
        (alone,) = graph.encode([clip])
        (single,) = graph.fuse([alone], [None], [Alignment()])
        assert alone.voice is not None
        assert code.voice is not None
        np.testing.assert_allclose(alone.voice, code.voice, atol=1e-3)
        np.testing.assert_allclose(single.probabilities, prediction.probabilities, atol=1e-4)
