"""Fine-tuning towards clips and back towards the start, and the choice between the two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models import Alignment
from emostream.models.emotion import EmotionModel
from emostream.training.adaptation import selection
from emostream.training.adaptation.clips import FrozenClip, collate_clips
from emostream.training.adaptation.fine_tuning import DecidedLogits, FineTuning
from emostream.training.adaptation.selection import STRENGTHS, choose_strength, divide, nested_logits
from emostream.training.corpora.example import Example
from tests.support.tiny_emotion import tiny_model

BASELINE = {"prior_count": 5.0, "neutral_weight": 0.0, "max_shift": None}
CONCAT: dict[str, Any] = {"audio_mix": "concat", "audio_mix_layers": [0, 1], "audio_mix_width": 8}


def model_of(kind: str) -> EmotionModel:
    weights = {"audio": {"audio": 1.0, "early": 0.0}, "text": {"early": 0.5, "text": 0.5}}
    weights["both"] = {"audio": 0.5, "early": 0.3, "text": 0.2}
    changes: dict[str, Any] = {"baseline": BASELINE} if kind == "baseline" else {}
    return tiny_model(late_weights=weights, **CONCAT, **changes)


def clips_of(
    model: EmotionModel, count: int = 24, labels: int = 4, *, words: bool = False
) -> list[FrozenClip]:
    """Frames with a direction for each label, in a model with baselines offset by speaker."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4, 8))
    clips = []
    for number in range(count):
        label = number % labels
        frames = 0.7 * directions[label] + rng.standard_normal((10 + number % 5, 8))
        shift = None
        if model.config.baseline is not None:
            shift = (torch.from_numpy(0.1 * rng.standard_normal(48)).float(), 0.6)
        tokens = torch.from_numpy(rng.standard_normal((3 if words and number % 2 else 0, 16))).float()
        example = Example(
            corpus="c", key=f"{number}", emotion="sad", emotion_orig="sad", speaker=f"s{number % 6}"
        )
        clips.append(FrozenClip(example, label, torch.from_numpy(frames).float(), tokens, Alignment(), shift))
    return clips


@pytest.mark.parametrize("kind", ["plain", "baseline"])
@pytest.mark.parametrize("known", [False, True])
def test_the_audio_branch_alone_is_that_of_the_whole_network(kind: str, known: bool) -> None:
    model = model_of(kind)
    batch = collate_clips(clips_of(model))
    with torch.inference_mode():
        whole = batch.without_words().logits(model, known=known)["audio"]
        torch.testing.assert_close(batch.audio_logits(model, known=known), whole)


@pytest.mark.parametrize("kind", ["plain", "baseline"])
def test_the_weaker_the_pull_the_further_the_weights_go_and_the_better_they_fit(kind: str) -> None:
    model = model_of(kind)
    clips = clips_of(model)
    tuning = FineTuning(model, with_words=False)
    strengths = (math.inf, 10.0, 1.0, 0.1)
    moved, losses = [], []
    truth = torch.tensor([clip.label for clip in clips])
    for weights in tuning.fit(clips, strengths):
        moved.append(sum(float((w - s).square().sum()) for w, s in zip(weights, tuning.start, strict=True)))
        logits = torch.from_numpy(tuning.decide(clips, weights).alone)
        losses.append(float(torch.nn.functional.cross_entropy(logits, truth)))
    assert moved[0] == 0
    assert moved == sorted(moved)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.7 * losses[0]


def test_where_a_fit_ends_loss_and_pull_balance() -> None:
    """The gradient of the loss, computed here one clip at a time, is the pull back: L2-SP's condition."""
    model = model_of("plain")
    clips = clips_of(model)
    tuning = FineTuning(model, with_words=False)
    strength = 1.0
    weights = tuning.fit(clips, [10.0, strength, strength, strength])[-1]
    tuning.load(weights)
    for parameter in tuning.parameters:
        parameter.requires_grad_(True)
    total = torch.zeros(())
    for clip in clips:
        logits = collate_clips([clip]).audio_logits(model, known=False)
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor([clip.label])) / len(clips)
    total.backward()
    for parameter, start in zip(tuning.parameters, tuning.start, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(
            parameter.grad, strength * (start - parameter.detach()), atol=2e-3, rtol=0.02
        )


def test_what_is_not_adapted_stays_and_a_label_that_no_clip_has_is_not_unlearned() -> None:
    model = model_of("baseline")
    before = {name: values.clone() for name, values in model.state_dict().items()}
    tuning = FineTuning(model, with_words=False)
    tuning.load(tuning.fit(clips_of(model, labels=3), [0.1])[-1])
    changed = {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}
    assert {name.split(".")[0] for name in changed} == {"audio_pool", "audio_head", "adapted_head"}
    last = [name for name in changed if name.startswith("audio_head") and before[name].shape[0] == 4]
    assert len(last) == 2
    for name in last:
        torch.testing.assert_close(model.state_dict()[name][3], before[name][3])


def test_words_adapt_the_fusion_too_and_the_same_clips_give_the_same_weights() -> None:
    results = []
    for _ in range(2):
        model = model_of("plain")
        tuning = FineTuning(model, with_words=True)
        results.append(tuning.fit(clips_of(model, words=True), [1.0])[-1])
        changed = {
            name.split(".")[0]
            for name, values in model.named_parameters()
            if not torch.equal(values, dict(model_of("plain").named_parameters())[name])
        }
        assert {"early", "audio_projection", "text_projection", "audio_head"} <= changed
        assert not changed & {"text_head", "text_pool", "audio_encoder", "text_encoder"}
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_folds_are_by_speaker_and_by_clip_where_there_is_one() -> None:
    clips = clips_of(model_of("plain"))
    for rows in divide(clips, 5):
        tested = {clips[row].example.speaker for row in rows.tolist()}
        rest = {clip.example.speaker for row, clip in enumerate(clips) if row not in set(rows.tolist())}
        assert not tested & rest
    assert sorted(np.concatenate(divide(clips[::6], 3)).tolist()) == list(range(4))  # of one speaker alone


def test_a_change_by_chance_changes_nothing_and_a_clear_one_does() -> None:
    rng = np.random.default_rng(0)
    truth = [number % 4 for number in range(40)]
    one_hot = np.eye(4)[truth]

    def candidate(signal: float) -> DecidedLogits:
        logits = signal * one_hot + rng.standard_normal((40, 4))
        return DecidedLogits(logits, logits)

    same = candidate(1.0)
    slightly = DecidedLogits(same.alone + 0.01 * rng.standard_normal((40, 4)), same.known)
    assert choose_strength(dict.fromkeys(STRENGTHS, same) | {STRENGTHS[-1]: slightly}, truth) == math.inf
    assert choose_strength(dict.fromkeys(STRENGTHS, same) | {1.0: candidate(6.0)}, truth) == 1.0


def test_nested_figures_are_of_clips_that_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels without any relation to the sound: with a choice on the tested clips they would look learned."""
    monkeypatch.setattr(selection, "STRENGTHS", (math.inf, 0.3))
    monkeypatch.setattr(selection, "FOLDS", 2)
    model = model_of("plain")
    clips = clips_of(model, count=30)
    rng = np.random.default_rng(1)
    shuffled = [
        FrozenClip(
            c.example,
            int(rng.integers(4)),
            torch.randn(12, 8, generator=torch.Generator().manual_seed(n)),
            c.tokens,
            c.alignment,
            None,
        )
        for n, c in enumerate(clips)
    ]
    found = nested_logits(FineTuning(model, with_words=False), shuffled)
    right = found.alone.argmax(1) == np.array([clip.label for clip in shuffled])
    assert right.mean() < 0.55
