"""The network as a whole: every ablation that has a flag, and every modality that may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models import LABELS, Alignment, Clip, EmotionInput, Transcript
from emostream.models.calibration import fused_posterior
from emostream.models.checkpoint import load_checkpoint
from emostream.models.collate import collate_spans
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel, EmotionOutput
from emostream.models.emotion_fields import GRANULARITIES, HEADS_BY_PATTERN
from emostream.models.granularity import SpanBatch
from emostream.models.recognizer import EmotionRecognizer
from tests.support.ablations import ABLATIONS, SOUNDS, TEXTS, batch, halves
from tests.support.tiny_emotion import tiny_config, tiny_model, write_tiny

"""They move all scores of a softmax alike, which changes no share: their gradient is rounding."""


class EvenAligner:
    """A fake forced aligner that records its requests."""

    def __init__(self) -> None:
        self.requested: list[str] = []

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        texts = ["" if transcript is None else transcript.text for transcript in transcripts]
        self.requested += texts
        return [
            halves(len(clip.samples), text.split()) if text else Alignment()
            for clip, text in zip(clips, texts, strict=True)
        ]


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_is_saved_loaded_and_run(name: str, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, **ABLATIONS[name])
    checkpoint = load_checkpoint(folder)
    aligner = EvenAligner()
    recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"), aligner=aligner)
    predictions = recognizer.recognize(rows())
    for prediction in predictions:
        for shares in filter(None, (prediction.probabilities, prediction.audio_only, prediction.text_only)):
            assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert predictions[0].probabilities != pytest.approx(predictions[3].probabilities, abs=1e-4)


def rows() -> list[EmotionInput]:
    return [
        EmotionInput(None if sound is None else Clip(sound), None if text is None else Transcript(text))
        for sound, text in zip(SOUNDS, TEXTS, strict=True)
    ]


@pytest.mark.parametrize("name", ABLATIONS)
def test_batched_rows_equal_single_rows(name: str) -> None:
    """With spans, without, with one modality: padding changes no logit and no code."""
    model = tiny_model(**ABLATIONS[name])
    with torch.no_grad():
        together = outputs(model(*batch(model, range(4))))
        for row in range(4):
            for name, values in outputs(model(*batch(model, [row]))).items():
                torch.testing.assert_close(values[0], together[name][row], atol=1e-5, rtol=1e-4)


def outputs(output: EmotionOutput) -> dict[str, torch.Tensor]:
    return output.logits() | {"audio code": output.audio_embedding, "text code": output.text_embedding}


def test_spans_change_the_early_posterior_only() -> None:
    """The single-modality heads do not depend on the spans."""
    model = tiny_model(granularities=["frame", "word"])
    audio, text, spans = batch(model, [0])
    moved = {"word": SpanBatch(spans["word"].bounds // 2, spans["word"].mask)}
    with torch.no_grad():
        here, there, nowhere = model(audio, text, spans), model(audio, text, moved), model(audio, text)
    assert not torch.allclose(here.early, there.early, atol=1e-4)
    assert not torch.allclose(here.early, nowhere.early, atol=1e-4)
    torch.testing.assert_close(here.audio, there.audio)
    torch.testing.assert_close(here.text, nowhere.text)


@pytest.mark.parametrize("kind", ["phone", "syllable", "word"])
@pytest.mark.parametrize("tier", ["phone", "syllable", "word"])
def test_each_granularity_uses_its_own_tier(kind: str, tier: str) -> None:
    model = tiny_model(granularities=["frame", kind])
    audio, text, _ = batch(model, [0])
    here, half = (halves(length, ["i", "am", "so", "happy"]) for length in (16_000, 8_000))
    moved = replace(here, **{f"{tier}s": getattr(half, f"{tier}s")})
    with torch.no_grad():
        first, second = (
            model(audio, text, collate_spans([alignment], [kind])).early for alignment in (here, moved)
        )
    assert torch.allclose(first, second, atol=1e-4) == (kind != tier)


def test_a_row_without_audio_ignores_its_spans() -> None:
    """Although the encoder has frames for the silence that replaces the audio."""
    model = tiny_model(granularities=GRANULARITIES)
    audio, text, _ = batch(model, [0, 2])
    spans = collate_spans([Alignment(), halves(1_000, ["leave"])], model.config.spans)
    with torch.no_grad():
        torch.testing.assert_close(model(audio, text, spans).early, model(audio, text).early)


def test_a_missing_alignment_counts_as_one_without_spans() -> None:
    model = tiny_model(granularities=GRANULARITIES)
    audio, text, _ = batch(model, [0, 3])
    empty = collate_spans([Alignment(), Alignment()], model.config.spans)
    with torch.no_grad():
        torch.testing.assert_close(model(audio, text).early, model(audio, text, empty).early)


def test_the_order_of_the_granularities_is_fixed() -> None:
    assert tiny_config(granularities=["word", "frame"]).granularities == ["frame", "word"]


def test_without_early_fusion_there_is_no_co_attention() -> None:
    model = tiny_model(fusion="late", granularities=GRANULARITIES)
    assert not [name for name in model.state_dict() if name.startswith(("early", "span_pools", "kinds"))]
    with torch.no_grad():
        assert model(*batch(model, range(4))).early is None


@pytest.mark.parametrize("fusion", ["early", "late", "both", "concat"])
def test_the_codes_are_what_the_deciding_heads_read(fusion: str) -> None:
    """A gradient on the codes reaches every weight in front of a head that decides, and no head."""
    model = tiny_model(fusion=fusion, granularities=["frame", "word"])
    output = model(*batch(model, range(4)))
    assert (output.audio_embedding.shape[1], output.text_embedding.shape[1]) == model.code_sizes
    (output.audio_embedding.sum() + output.text_embedding.square().sum()).backward()
    by_codes = reached(model)
    model.zero_grad(set_to_none=True)
    logits = model(*batch(model, range(4))).logits()
    sum(logits[head].square().sum() for head in model.config.fused_heads("both")).backward()
    heads = ("audio_head.", "text_head.", "early.head.")
    assert by_codes == {name for name in reached(model) if not name.startswith(heads)}


def reached(model: EmotionModel) -> set[str]:
    return {name for name, weights in model.named_parameters() if weights.grad is not None}


def test_concatenation_has_no_co_attention_and_no_spans() -> None:
    model = tiny_model(fusion="concat", granularities=GRANULARITIES)
    parts = {name.split(".")[1] for name in model.state_dict() if name.startswith("early.")}
    assert parts == {"head"}
    assert model.config.spans == ()


@pytest.mark.parametrize("fusion", ["early", "concat"])
def test_where_the_fused_head_decides_the_others_do_not_train_the_encoders(fusion: str) -> None:
    """They are trained, but their gradient stops at the encoders."""
    model = tiny_model(fusion=fusion)
    output = model(*batch(model, range(4)))
    (output.audio.sum() + output.text.sum()).backward()
    assert {name.split(".")[0] for name in reached(model)} == {
        "audio_head",
        "audio_pool",
        "text_head",
        "text_pool",
    }


@pytest.mark.parametrize(
    ("fusion", "pattern", "heads"),
    [
        ("both", "both", ("early", "audio", "text")),
        ("both", "audio", ("early", "audio")),
        ("both", "text", ("early", "text")),
        ("early", "both", ("early",)),
        ("early", "text", ("early",)),
        ("late", "both", ("audio", "text")),
        ("late", "audio", ("audio",)),
        ("concat", "both", ("early",)),
        ("concat", "text", ("early",)),
    ],
)
def test_the_parts_of_the_fused_posterior_by_fusion_mode(
    fusion: str, pattern: str, heads: tuple[str, ...]
) -> None:
    config = tiny_config(fusion=fusion)
    assert config.fused_heads(pattern) == heads
    assert sum(config.late_weights[pattern].values()) == pytest.approx(1.0)
    logits = {head: torch.randn(3, 4) for head in HEADS_BY_PATTERN["both"]}
    silent = {head: values if head in heads else values + 5 for head, values in logits.items()}
    assert np.array_equal(fused_posterior(logits, pattern, config), fused_posterior(silent, pattern, config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"granularities": []}, "one or more granularities out of frame"),
        ({"granularities": ["letter"]}, "letter"),
        ({"granularities": "word"}, "'word'"),
        ({"span_pooling": "max"}, "mean, attentive"),
        ({"fusion": "middle"}, "early, late, both"),
    ],
)
def test_contradictory_flags_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmotionConfig(**changes)


class TestRecognizer:
    def test_alignment_is_requested_only_if_the_model_needs_it(self, tmp_path: Path) -> None:
        checkpoint = load_checkpoint(write_tiny(tmp_path, granularities=["frame", "syllable"]))
        aligner = EvenAligner()
        recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"), aligner=aligner)
        recognizer.recognize(rows())
        assert aligner.requested == ["i am so happy", "", "leave me alone", "the door is open"]

    def test_text_only(self, tmp_path: Path) -> None:
        """Without audio: the text head and its late weights, and no audio-only scores."""
        checkpoint = load_checkpoint(write_tiny(tmp_path))
        recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"))
        angry, happy = recognizer.recognize(
            [
                EmotionInput(None, Transcript("leave me alone")),
                EmotionInput(None, Transcript("i am so happy")),
            ]
        )
        assert angry.audio_only is None
        assert angry.text_only is not None
        assert angry.probabilities != pytest.approx(happy.probabilities, abs=1e-4)
        assert set(angry.uncertain) <= {"low_confidence"}

    def test_an_empty_input_has_a_result(self, tmp_path: Path) -> None:
        recognizer = EmotionRecognizer(load_checkpoint(write_tiny(tmp_path)), torch.device("cpu"))
        (prediction,) = recognizer.recognize([EmotionInput(None, None)])
        assert prediction.label in LABELS
        assert (prediction.audio_only, prediction.text_only) == (None, None)
        assert "no_text" in prediction.uncertain
