"""Cached features of a frozen encoder: for the model the same as the encoder itself, and computed once."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace as other
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from emostream.models import Alignment, Span, Word
from emostream.models.collate import AudioBatch, collate_audio, collate_text
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.factory import freeze
from emostream.models.granularity import SpanBatch, frames_inside
from emostream.training.corpora.example import Example
from emostream.training.data.frozen_features import (
    FrozenFeatures,
    cached_features,
    fingerprint,
)
from emostream.training.emotion.collator import Collator, EmotionBatch, FrozenBatch
from emostream.training.emotion.inputs import NO_ALIGNMENT, TrainingInputs
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.settings import ContrastiveSettings
from emostream.training.errors import SettingsError
from tests.support.tiny_encoders import tiny_text_encoder
from tests.support.training_task import GOLD, corpus, inputs_of, network, numbers

ALIGNMENT = Alignment(
    (Word("so", 0, 900), Word("happy", 900, 4_000)), (Span("S OW", 0, 900),), (Span("S", 0, 400),), "forced"
)


class CountingEncoder:
    """An encoder with random states that records its calls."""

    def __init__(self, fails_at: int = -1, level: float = 1.0) -> None:
        self.calls: list[tuple[str, int]] = []
        self._fails_at, self._level = fails_at, level

    def states(self, key: str, view: int) -> Tensor:
        """(2, T, 3), T by key and view."""
        generator = torch.Generator().manual_seed(100 * len(key) + view)
        return self._level * torch.randn(2, len(key) + view, 3, generator=generator)

    def __call__(self, key: str, view: int) -> tuple[Tensor, Alignment]:
        if len(self.calls) == self._fails_at:
            raise KeyboardInterrupt
        self.calls.append((key, view))
        return self.states(key, view), ALIGNMENT if view else NO_ALIGNMENT


def cached(
    folder: Path, encode: CountingEncoder, keys: Sequence[str] = ("a", "bbb"), identity: str = "encoder"
) -> FrozenFeatures:
    return cached_features(keys, 2, encode, identity, folder, lambda done: None)


def test_every_view_comes_back_in_half_precision_with_its_alignment(tmp_path: Path) -> None:
    encode = CountingEncoder()
    features = cached(tmp_path, encode)
    for key in ("a", "bbb"):
        for view in (0, 1):
            states, alignment = features.view(key, view)
            assert torch.equal(states, encode.states(key, view).half())
            assert alignment == (ALIGNMENT if view else NO_ALIGNMENT)


def test_it_is_computed_once_for_the_same_inputs(tmp_path: Path) -> None:
    encode = CountingEncoder()
    first = cached(tmp_path, encode)
    again = cached(tmp_path, encode)
    assert len(encode.calls) == 4
    assert np.array_equal(first.states, again.states)
    for others in ({"keys": ("bbb", "a")}, {"keys": ("a",)}, {"identity": "another encoder"}):
        before = len(encode.calls)
        cached(tmp_path, encode, **others)
        assert len(encode.calls) > before


def test_progress_is_reported(tmp_path: Path) -> None:
    progress: list[int] = []
    cached_features(["a", "bb", "c"], 2, CountingEncoder(), "encoder", tmp_path, progress.append)
    assert progress == [1, 2, 3, 4, 5, 6]


def test_a_killed_run_starts_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, CountingEncoder(fails_at=3))
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    encode = CountingEncoder()
    features = cached(tmp_path, encode)
    assert len(encode.calls) == 4
    assert torch.equal(features.view("bbb", 1)[0], encode.states("bbb", 1).half())


def test_partial_files_and_states_without_an_index_are_ignored(tmp_path: Path) -> None:
    cached(tmp_path, CountingEncoder())
    (index,) = tmp_path.rglob("index.json")
    (states,) = tmp_path.rglob("states.float16")
    content = states.read_bytes()
    index.with_name("index.json.1.tmp").write_text(index.read_text()[:20])
    index.unlink()
    states.write_bytes(content[: len(content) // 2])
    encode = CountingEncoder()
    features = cached(tmp_path, encode)
    assert len(encode.calls) == 4
    assert states.read_bytes() == content
    assert features.states.tobytes() == content
    assert json.loads(index.read_text())["shape"] == list(features.states.shape)


def test_one_process_writes_while_another_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one run find no cache and both compute: they do not disturb each other."""
    slower = CountingEncoder()
    early: list[FrozenFeatures] = []

    def interrupted(key: str, view: int) -> tuple[Tensor, Alignment]:
        if (key, view) == ("bbb", 0):
            with monkeypatch.context() as other_process:
                other_process.setattr(os, "getpid", lambda: 0)
                early.append(cached(tmp_path, CountingEncoder()))
        return slower(key, view)

    late = cached_features(["a", "bbb"], 2, interrupted, "encoder", tmp_path, lambda done: None)
    assert np.array_equal(early[0].states, late.states)
    assert np.isfinite(early[0].states).all()
    assert early[0].states.any(axis=(1, 2)).all()


def test_states_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="cache_features: expected states that half precision holds, got more"
    ):
        cached(tmp_path, CountingEncoder(level=1e6))


def test_no_keys_give_no_features(tmp_path: Path) -> None:
    assert cached(tmp_path, CountingEncoder(), keys=()).views == {}


def test_a_fingerprint_is_of_the_weights_and_the_rest_and_not_of_the_mix() -> None:
    encoder = tiny_text_encoder("bert")
    first = fingerprint(encoder, {"trimmed": True}, [1, 2])
    assert fingerprint(copy.deepcopy(encoder), {"trimmed": True}, [1, 2]) == first
    with torch.no_grad():
        for weights in encoder.mix.parameters():
            weights.add_(1.0)
    assert fingerprint(encoder, {"trimmed": True}, [1, 2]) == first
    assert fingerprint(encoder, {"trimmed": False}, [1, 2]) != first
    with torch.no_grad():
        next(encoder.backbone.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(encoder, {"trimmed": True}, [1, 2]) != first


# In training


EXAMPLES = corpus(12)


def frozen_network() -> EmotionModel:
    model = network(dropout=0.0)
    for encoder in (model.audio_encoder, model.text_encoder):
        freeze(encoder, "all")
        for weights in encoder.mix.parameters():
            nn.init.normal_(weights)
    return model


def with_features(
    model: EmotionModel, inputs: TrainingInputs, examples: Sequence[Example], folder: Path
) -> TrainingInputs:
    """The inputs with the cached features of both encoders."""

    def encode_audio(key: str, view: int) -> tuple[Tensor, Alignment]:
        batch = collate_audio([inputs.audio.clip(key)], model.audio_encoder.waveform_spec)
        states, mask = model.audio_encoder.layers(batch.samples, batch.mask)
        stacked = torch.stack([state[0, : int(mask.sum())] for state in states])
        return stacked, inputs.alignments.get(key, NO_ALIGNMENT)

    def encode_text(key: str, view: int) -> tuple[Tensor, Alignment]:
        words = next(example.words for example in examples if example.key == key)
        batch = collate_text([words], inputs.tokenizer, model.config.max_tokens)
        return torch.stack(
            [state[0] for state in model.text_encoder.layers(batch.ids, batch.mask)]
        ), NO_ALIGNMENT

    def cache(
        identity: str, keys: list[str], encode: Callable[[str, int], tuple[Tensor, Alignment]]
    ) -> FrozenFeatures:
        with torch.inference_mode():
            return cached_features(keys, 1, encode, identity, folder, lambda done: None)

    return other(
        inputs,
        audio_features=cache(
            "audio", [example.key for example in examples if example.path is not None], encode_audio
        ),
        text_features={
            "gold": cache("words", [example.key for example in examples if example.words], encode_text)
        },
    )


def training_step(model: EmotionModel, batch: EmotionBatch) -> tuple[float, dict[str, Tensor]]:
    """The loss of a training step, and the gradients of all trainable weights."""
    torch.manual_seed(0)
    module = EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3)).train()
    module.zero_grad()
    loss = module(batch)["loss"]
    loss.backward()
    gradients = {
        name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None
    }
    return loss.item(), gradients


def test_a_step_on_cached_features_equals_one_through_the_encoders(tmp_path: Path) -> None:
    model, inputs = frozen_network(), inputs_of(EXAMPLES)
    data = replace(GOLD, drop_audio=0.2, drop_text=0.2)
    direct, through = (
        Collator(source, data, model, numbers(EXAMPLES)).training_batch(EXAMPLES, [True] * 12, 1, 0)
        for source in (with_features(model, inputs, EXAMPLES, tmp_path), inputs)
    )
    assert isinstance(direct.audio, FrozenBatch)
    assert isinstance(through.audio, AudioBatch)
    assert torch.equal(direct.audio.present, through.audio.present)
    loss, gradients = training_step(model, direct)
    expected, through_encoders = training_step(model, through)
    assert loss == pytest.approx(expected, rel=1e-3)
    assert gradients.keys() == through_encoders.keys()
    assert {"audio_encoder.mix.weights", "text_encoder.mix.weights"} <= gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, through_encoders[name], rtol=0.02, atol=2e-3, msg=name)


def test_a_cut_of_cached_frames_equals_a_cut_of_the_audio(tmp_path: Path) -> None:
    """The window's frames are the clip's own, and every word keeps its frames in the window."""
    examples = corpus(8, complete=True)
    model = frozen_network()
    inputs = with_features(model, inputs_of(examples), examples, tmp_path)
    step, limit = model.audio_encoder.step, 12
    data = replace(GOLD, max_seconds=limit * step / 16_000)
    cut = Collator(inputs, data, model, numbers(examples)).training_batch(examples, [True] * 8, 1, 0)
    assert isinstance(cut.audio, FrozenBatch)
    assert inputs.audio_features is not None
    starts = set()
    for row, example in enumerate(examples):
        states, alignment = inputs.audio_features.view(example.key, 0)
        window = cut.audio.states[row, :, :limit]
        assert cut.audio.mask[row].sum() == limit
        start = next(at for at in range(states.shape[1]) if torch.equal(states[:, at : at + limit], window))
        starts.add(start)
        words = torch.tensor([[(word.start, word.end) for word in alignment.words]])
        spans = SpanBatch(words, torch.ones(words.shape[:2], dtype=torch.bool))
        assert torch.equal(
            cut.spans["word"].bounds[row][cut.spans["word"].mask[row]], words[0] - start * step
        )
        all_frames = frames_of(model, spans, states.shape[1])
        shifted = SpanBatch(cut.spans["word"].bounds[row][None], cut.spans["word"].mask[row][None])
        inside = frames_of(model, shifted, limit)[: len(all_frames)]
        in_window = all_frames[:, start : start + limit]
        cut_through = all_frames.any(1) & ~in_window.all(1) & ~in_window.any(1)
        assert torch.equal(inside[~cut_through], in_window[~cut_through])
    assert len(starts) > 3


def frames_of(model: EmotionModel, spans: SpanBatch, frames: int) -> Tensor:
    """(S, T)"""
    centres = model.audio_encoder.frame_centres(frames)
    return frames_inside(spans, centres, torch.ones(1, frames, dtype=torch.bool), model.audio_encoder.step)[0]
