"""The network as a whole: every ablation that a flag can ask for, and every modality that may be missing."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models import LABELS, Alignment, Clip, EmotionInput, Span, Transcript, Word
from emostream.models.calibration import fused_posterior
from emostream.models.checkpoint import load_checkpoint
from emostream.models.collate import AudioBatch, TextBatch, collate_audio, collate_spans, collate_text
from emostream.models.config import GRANULARITIES, HEADS_BY_PATTERN, EmotionConfig
from emostream.models.emotion import EmotionModel, EmotionOutput
from emostream.models.granularity import SpanBatch
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.emotion.collator import EmotionBatch
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.settings import ContrastiveSettings
from tests.support.tiny_emotion import noise, tiny_config, tiny_model, tiny_tokenizer, write_tiny

ABLATIONS: dict[str, dict[str, Any]] = {
    "frame only": {"granularities": ["frame"]},
    "+ word": {"granularities": ["frame", "word"]},
    "+ syllable": {"granularities": ["frame", "word", "syllable"]},
    "+ phone": {"granularities": ["frame", "word", "syllable", "phone"]},
    "words without frames": {"granularities": ["word"]},
    "attentive pooling": {"granularities": ["frame", "phone"], "span_pooling": "attentive"},
    "early only": {"fusion": "early"},
    "late only": {"fusion": "late"},
    "both": {"fusion": "both"},
    "early only, all granularities": {"fusion": "early", "granularities": GRANULARITIES},
}

SOUNDS = (noise(16_000, 1), noise(9_000, 2), None, noise(12_000, 4))
TEXTS = ("i am so happy", None, "leave me alone", "the door is open")
CONTRAST = ContrastiveSettings(alpha=0.3)

SHIFTS = (".key.bias", ".k_proj.bias", ".score.bias", ".score.2.bias")
"""They move all scores of a softmax alike, which changes no share: their gradient is rounding."""


def halves(samples: int, words: Sequence[str]) -> Alignment:
    """Even spans: a word is two syllables, a syllable two phones."""
    edges = np.linspace(0, samples, 4 * len(words) + 1).astype(int).tolist()
    return Alignment(
        words=tuple(
            Word(word, a, b) for word, (a, b) in zip(words, itertools.pairwise(edges[::4]), strict=True)
        ),
        syllables=tuple(Span("AH-AH", a, b) for a, b in itertools.pairwise(edges[::2])),
        phones=tuple(Span("AH", a, b) for a, b in itertools.pairwise(edges)),
        method="forced",
    )


class EvenAligner:
    """Stands for the forced aligner; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        texts = ["" if transcript is None else transcript.text for transcript in transcripts]
        self.asked += texts
        return [
            halves(len(clip.samples), text.split()) if text else Alignment()
            for clip, text in zip(clips, texts, strict=True)
        ]


def batch(model: EmotionModel, rows: Sequence[int]) -> tuple[AudioBatch, TextBatch, dict[str, SpanBatch]]:
    sounds, texts = [SOUNDS[row] for row in rows], [TEXTS[row] for row in rows]
    alignments = [
        Alignment() if sound is None or text is None else halves(len(sound), text.split())
        for sound, text in zip(sounds, texts, strict=True)
    ]
    return (
        collate_audio(sounds, model.audio_encoder.waveform_spec),
        collate_text(texts, tiny_tokenizer(), model.config.max_tokens),
        collate_spans(alignments, model.config.spans),
    )


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_trains(name: str) -> None:
    """Steps on one batch bring its loss down, with either modality missing in some rows, and every weight
    that the ablation has is one that learns.
    """
    torch.manual_seed(0)
    model = EmotionModel(tiny_config(dropout=0.0, **ABLATIONS[name]))
    objective = EmotionTrainingModule(model, CONTRAST, 0.05).train()
    every = EmotionBatch(*batch(model, range(4)), torch.arange(4), torch.ones(4, dtype=torch.bool))
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    losses = []
    steepest: defaultdict[str, float] = defaultdict(float)  # weights -> largest gradient of all steps
    for _ in range(12):
        loss = objective(every)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        for weight, values in model.named_parameters():
            if values.grad is not None:
                steepest[weight] = max(steepest[weight], values.grad.abs().max().item())
    assert losses[-1] < 0.9 * losses[0]
    idle = {weight for weight, _ in model.named_parameters() if steepest[weight] < 1e-7}
    # Only co-attention hears the absent tokens: the other heads and the contrast leave such rows out.
    expected = {"absent_audio", "absent_text"} if model.early is None else set()
    assert {weight for weight in idle if not weight.endswith(SHIFTS)} == expected


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_is_saved_read_and_run(name: str, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, **ABLATIONS[name])
    checkpoint = load_checkpoint(folder)
    aligner = EvenAligner()
    recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"), aligner=aligner)
    predictions = recognizer.recognize(speeches())
    for prediction in predictions:
        for shares in filter(None, (prediction.probabilities, prediction.audio_only, prediction.text_only)):
            assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert predictions[0].probabilities != pytest.approx(predictions[3].probabilities, abs=1e-4)


def speeches() -> list[EmotionInput]:
    return [
        EmotionInput(None if sound is None else Clip(sound), None if text is None else Transcript(text))
        for sound, text in zip(SOUNDS, TEXTS, strict=True)
    ]


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_row_alone_is_the_row_in_a_crowd(name: str) -> None:
    """With spans, without, with one modality: padding changes no logit and no code."""
    model = tiny_model(**ABLATIONS[name])
    with torch.no_grad():
        together = outputs(model(*batch(model, range(4))))
        for row in range(4):
            for name, values in outputs(model(*batch(model, [row]))).items():
                torch.testing.assert_close(values[0], together[name][row], atol=1e-5, rtol=1e-4)


def outputs(output: EmotionOutput) -> dict[str, torch.Tensor]:
    return output.logits() | {"audio code": output.audio_embedding, "text code": output.text_embedding}


def test_the_spans_matter_where_they_should() -> None:
    """Other spans, another early posterior; the single-modality heads do not hear of them."""
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
def test_each_granularity_reads_its_own_tier(kind: str, tier: str) -> None:
    model = tiny_model(granularities=["frame", kind])
    audio, text, _ = batch(model, [0])
    here, half = (halves(length, ["i", "am", "so", "happy"]) for length in (16_000, 8_000))
    moved = replace(here, **{f"{tier}s": getattr(half, f"{tier}s")})
    with torch.no_grad():
        first, second = (
            model(audio, text, collate_spans([alignment], [kind])).early for alignment in (here, moved)
        )
    assert torch.allclose(first, second, atol=1e-4) == (kind != tier)


def test_a_row_without_sound_hears_no_spans() -> None:
    """Although the encoder makes frames of the silence that stands in for it."""
    model = tiny_model(granularities=GRANULARITIES)
    audio, text, _ = batch(model, [0, 2])
    spans = collate_spans([Alignment(), halves(1_000, ["leave"])], model.config.spans)
    with torch.no_grad():
        torch.testing.assert_close(model(audio, text, spans).early, model(audio, text).early)


def test_a_missing_alignment_is_an_alignment_without_spans() -> None:
    model = tiny_model(granularities=GRANULARITIES)
    audio, text, _ = batch(model, [0, 3])
    empty = collate_spans([Alignment(), Alignment()], model.config.spans)
    with torch.no_grad():
        torch.testing.assert_close(model(audio, text).early, model(audio, text, empty).early)


def test_the_order_of_the_granularities_is_theirs() -> None:
    assert tiny_config(granularities=["word", "frame"]).granularities == ["frame", "word"]


def test_without_early_fusion_there_is_no_co_attention() -> None:
    model = tiny_model(fusion="late", granularities=GRANULARITIES)
    assert not [name for name in model.state_dict() if name.startswith(("early", "span_pools", "kinds"))]
    with torch.no_grad():
        assert model(*batch(model, range(4))).early is None


def test_with_early_fusion_alone_the_other_heads_only_report() -> None:
    """They learn to read the encoders, and do not shape them."""
    model = tiny_model(fusion="early")
    output = model(*batch(model, range(4)))
    (output.audio.sum() + output.text.sum()).backward()
    reached = {name.split(".")[0] for name, weights in model.named_parameters() if weights.grad is not None}
    assert reached == {"audio_head", "audio_pool", "text_head", "text_pool"}


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
    ],
)
def test_who_speaks_in_the_fused_posterior(fusion: str, pattern: str, heads: tuple[str, ...]) -> None:
    config = tiny_config(fusion=fusion)
    assert config.fused_heads(pattern) == heads
    assert sum(config.late_weights[pattern].values()) == pytest.approx(1.0)
    logits = {head: torch.randn(3, 4) for head in HEADS_BY_PATTERN["both"]}
    silent = {head: values if head in heads else values + 5 for head, values in logits.items()}
    assert torch.equal(fused_posterior(logits, pattern, config), fused_posterior(silent, pattern, config))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"granularities": []}, "one or more granularities out of frame"),
        ({"granularities": ["letter"]}, "letter"),
        ({"granularities": "word"}, "'word'"),
        ({"span_pooling": "max"}, "mean, attentive"),
        ({"fusion": "middle"}, "early, late, both"),
    ],
)
def test_flags_that_mean_nothing(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EmotionConfig(**changes)


class TestRecognizer:
    def test_it_asks_for_an_alignment_where_the_model_needs_one(self, tmp_path: Path) -> None:
        checkpoint = load_checkpoint(write_tiny(tmp_path, granularities=["frame", "syllable"]))
        aligner = EvenAligner()
        recognizer = EmotionRecognizer(checkpoint, torch.device("cpu"), aligner=aligner)
        recognizer.recognize(speeches())
        assert aligner.asked == ["i am so happy", "", "leave me alone", "the door is open"]

    def test_words_alone(self, tmp_path: Path) -> None:
        """No sound: the words' own head and late weights, and nothing said of a sound that is not there."""
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

    def test_nothing_at_all_is_still_an_answer(self, tmp_path: Path) -> None:
        recognizer = EmotionRecognizer(load_checkpoint(write_tiny(tmp_path)), torch.device("cpu"))
        (prediction,) = recognizer.recognize([EmotionInput(None, None)])
        assert prediction.label in LABELS
        assert (prediction.audio_only, prediction.text_only) == (None, None)
        assert "no_text" in prediction.uncertain
