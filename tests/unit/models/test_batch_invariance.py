"""A batch must not change a clip's result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig

from emostream.models import Alignment, Clip, EmotionInput, Prediction, Transcript, Word, load_recognizer
from emostream.models.checkpoint import Checkpoint
from emostream.models.config import reference_config
from emostream.models.emotion import EmotionModel
from emostream.models.recognition import Recognition
from emostream.models.recognizer import EmotionRecognizer
from tests.support.tiny_emotion import noise, tiny_model, tiny_tokenizer, write_tiny
from tests.support.tiny_encoders import audio_configs

LENGTHS = (48_000, 11_025, 700, 0, 31_999, 16_000)
WORDS = ("i am so happy", None, "leave me alone i hate this i hate this", "", "the door is open", None)


def inputs() -> list[EmotionInput]:
    return [
        EmotionInput(Clip(noise(length, seed)), None if words is None else Transcript(words))
        for seed, (length, words) in enumerate(zip(LENGTHS, WORDS, strict=True))
    ]


def numbers(prediction: Prediction) -> list[float]:
    return [*prediction.probabilities, *(prediction.audio_only or ()), *(prediction.text_only or ())]


def assert_batch_invariant(recognizer: Recognition, inputs: list[EmotionInput]) -> None:
    batch = recognizer.recognize(inputs)
    for single, batched in zip(inputs, batch, strict=True):
        alone = recognizer.recognize([single])[0]
        assert np.abs(np.subtract(numbers(alone), numbers(batched))).max() < 1e-4
        assert alone.uncertain == batched.uncertain


@pytest.mark.parametrize("kind", audio_configs())
def test_batched_results_equal_single_results(kind: str, tmp_path: Path) -> None:
    """Probabilities, through every kind of audio encoder: mixed lengths, with and without words."""
    audio = audio_configs()[kind]
    checkpoint = write_tiny(
        tmp_path, audio_config=audio, audio_unit_variance=audio.model_type not in ("wavlm", "whisper")
    )
    assert_batch_invariant(EmotionRecognizer.load(checkpoint, device="cpu"), inputs())


def test_batched_results_equal_single_results_over_several_forward_passes(tmp_path: Path) -> None:
    """Clips of similar length share a forward pass."""
    recognizer = EmotionRecognizer.load(write_tiny(tmp_path), device="cpu")
    batch = [EmotionInput(Clip(noise(8_000 * (1 + seed % 7), seed))) for seed in range(40)]
    assert_batch_invariant(recognizer, batch)


def test_batched_results_equal_single_results_with_the_bundled_weights() -> None:
    assert_batch_invariant(load_recognizer(device="cpu"), inputs())


@pytest.mark.long
def test_batched_results_equal_single_results_at_full_size(tmp_path: Path) -> None:
    """wav2vec2-base, whose group norm spans the time axis, with random weights."""
    torch.manual_seed(0)
    config = reference_config(
        text_config=BertConfig(num_hidden_layers=2, vocab_size=120), granularities=["frame"], max_tokens=32
    )
    checkpoint = Checkpoint(EmotionModel(config).eval(), tiny_tokenizer(), tmp_path)
    recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"))
    assert_batch_invariant(recognizer, inputs()[1:])


class FixedAligner:
    """Aligns every clip with a transcript to these words."""

    def __init__(self, words: tuple[Word, ...]) -> None:
        self.words = words

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        return [Alignment(self.words if transcript else ()) for transcript in transcripts]


@pytest.mark.parametrize(
    ("kind", "bounds", "held"),
    [
        ("wav2vec2, layer norm", (20, 30), True),
        ("wav2vec2, layer norm", (395, 405), True),  # less than a step from the centre at 128
        ("whisper", (20, 30), True),
        ("whisper", (395, 405), False),  # more than a step from the centre at 0
    ],
)
def test_a_clip_of_one_frame_has_the_same_spans_in_a_batch(
    kind: str, bounds: tuple[int, int], held: bool, tmp_path: Path
) -> None:
    model = tiny_model(
        audio_config=audio_configs()[kind],
        audio_unit_variance=kind != "whisper",
        granularities=["frame", "word"],
    )
    checkpoint = Checkpoint(model, tiny_tokenizer(), tmp_path)
    spoken = EmotionInput(Clip(noise(420)), Transcript("door"))
    others = [EmotionInput(Clip(noise(length, seed))) for seed, length in enumerate(LENGTHS)]

    def first(inputs: list[EmotionInput], *words: Word) -> list[float]:
        recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"), aligner=FixedAligner(words))
        return numbers(recognizer.recognize(inputs)[0])

    word = Word("door", *bounds)
    alone, batched, without = first([spoken], word), first([spoken, *others], word), first([spoken])
    assert np.abs(np.subtract(alone, batched)).max() < 1e-4
    assert (np.abs(np.subtract(alone, without)).max() > 1e-3) == held


def test_encoding_and_fusing_in_different_batches_gives_the_same(tmp_path: Path) -> None:
    recognizer = EmotionRecognizer.load(write_tiny(tmp_path), device="cpu")
    clips = [single.clip for single in inputs()]
    transcripts = [single.transcript for single in inputs()]
    codes = [recognizer.encode([clip])[0] for clip in clips]
    fused = recognizer.fuse(codes, transcripts, recognizer.align(clips, transcripts))
    for one, other in zip(fused, recognizer.recognize(inputs()), strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-4)


def test_random_models_distinguish_clips(tmp_path: Path) -> None:
    """Otherwise the tests above would pass for a model with a constant output."""
    recognizer = EmotionRecognizer.load(write_tiny(tmp_path), device="cpu")
    first, second = recognizer.recognize([EmotionInput(Clip(noise(20_000, seed))) for seed in (1, 2)])
    assert np.abs(np.subtract(first.probabilities, second.probabilities)).max() > 1e-3
