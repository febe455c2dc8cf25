"""What a frozen encoder says, kept: the same to the model as the encoder itself, and computed once."""

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


class Counted:
    """An encoder of one layer's worth of numbers that remembers what it was asked for."""

    def __init__(self, fails_at: int = -1, level: float = 1.0) -> None:
        self.asked: list[tuple[str, int]] = []
        self._fails_at, self._level = fails_at, level

    def states(self, key: str, view: int) -> Tensor:
        """(2, T, 3), T by key and view."""
        generator = torch.Generator().manual_seed(100 * len(key) + view)
        return self._level * torch.randn(2, len(key) + view, 3, generator=generator)

    def __call__(self, key: str, view: int) -> tuple[Tensor, Alignment]:
        if len(self.asked) == self._fails_at:
            raise KeyboardInterrupt
        self.asked.append((key, view))
        return self.states(key, view), ALIGNMENT if view else NO_ALIGNMENT


def kept(
    folder: Path, encode: Counted, keys: Sequence[str] = ("a", "bbb"), who: str = "me"
) -> FrozenFeatures:
    return cached_features(keys, 2, encode, who, folder, lambda done: None)


def test_every_view_comes_back_in_half_precision_with_its_alignment(tmp_path: Path) -> None:
    encode = Counted()
    features = kept(tmp_path, encode)
    for key in ("a", "bbb"):
        for view in (0, 1):
            states, alignment = features.view(key, view)
            assert torch.equal(states, encode.states(key, view).half())
            assert alignment == (ALIGNMENT if view else NO_ALIGNMENT)


def test_it_is_computed_once_for_the_same_question(tmp_path: Path) -> None:
    encode = Counted()
    first = kept(tmp_path, encode)
    again = kept(tmp_path, encode)
    assert len(encode.asked) == 4
    assert np.array_equal(first.states, again.states)
    for others in ({"keys": ("bbb", "a")}, {"keys": ("a",)}, {"who": "somebody else"}):
        before = len(encode.asked)
        kept(tmp_path, encode, **others)
        assert len(encode.asked) > before


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    cached_features(["a", "bb", "c"], 2, Counted(), "me", tmp_path, told.append)
    assert told == [1, 2, 3, 4, 5, 6]


def test_what_was_killed_starts_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, Counted(fails_at=3))
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    encode = Counted()
    features = kept(tmp_path, encode)
    assert len(encode.asked) == 4
    assert torch.equal(features.view("bbb", 1)[0], encode.states("bbb", 1).half())


def test_neither_a_dead_process_s_half_nor_states_without_an_index_count(tmp_path: Path) -> None:
    kept(tmp_path, Counted())
    (index,) = tmp_path.rglob("index.json")
    (states,) = tmp_path.rglob("states.float16")
    whole = states.read_bytes()
    index.with_name("index.json.1.tmp").write_text(index.read_text()[:20])
    index.unlink()
    states.write_bytes(whole[: len(whole) // 2])
    encode = Counted()
    features = kept(tmp_path, encode)
    assert len(encode.asked) == 4
    assert states.read_bytes() == whole
    assert features.states.tobytes() == whole
    assert json.loads(index.read_text())["shape"] == list(features.states.shape)


def test_one_process_writes_while_another_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one run find nothing and both compute: the slower one takes nothing from the other."""
    slower = Counted()
    early: list[FrozenFeatures] = []

    def interrupted(key: str, view: int) -> tuple[Tensor, Alignment]:
        if (key, view) == ("bbb", 0):
            with monkeypatch.context() as other_process:
                other_process.setattr(os, "getpid", lambda: 0)
                early.append(kept(tmp_path, Counted()))
        return slower(key, view)

    late = cached_features(["a", "bbb"], 2, interrupted, "me", tmp_path, lambda done: None)
    assert np.array_equal(early[0].states, late.states)
    assert np.isfinite(early[0].states).all()
    assert early[0].states.any(axis=(1, 2)).all()


def test_states_that_half_precision_cannot_hold_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="cache_features: expected states that half precision holds, got more"
    ):
        kept(tmp_path, Counted(level=1e6))


def test_nothing_to_keep_is_no_trouble(tmp_path: Path) -> None:
    assert kept(tmp_path, Counted(), keys=()).places == {}


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
    """The material with everything kept that both encoders say."""

    def hear(key: str, view: int) -> tuple[Tensor, Alignment]:
        batch = collate_audio([inputs.audio.clip(key)], model.audio_encoder.waveform_spec)
        states, mask = model.audio_encoder.layers(batch.samples, batch.mask)
        stack_logits = torch.stack([state[0, : int(mask.sum())] for state in states])
        return stack_logits, inputs.alignments.get(key, NO_ALIGNMENT)

    def read(key: str, view: int) -> tuple[Tensor, Alignment]:
        words = next(example.words for example in examples if example.key == key)
        batch = collate_text([words], inputs.tokenizer, model.config.max_tokens)
        return torch.stack(
            [state[0] for state in model.text_encoder.layers(batch.ids, batch.mask)]
        ), NO_ALIGNMENT

    def keep(
        what: str, keys: list[str], encode: Callable[[str, int], tuple[Tensor, Alignment]]
    ) -> FrozenFeatures:
        with torch.inference_mode():
            return cached_features(keys, 1, encode, what, folder, lambda done: None)

    return other(
        inputs,
        audio_features=keep("sound", [example.key for example in examples if example.path is not None], hear),
        text_features={"gold": keep("words", [example.key for example in examples if example.words], read)},
    )


def stepped(model: EmotionModel, batch: EmotionBatch) -> tuple[float, dict[str, Tensor]]:
    """The loss of a training step, and the gradients of what learns."""
    torch.manual_seed(0)
    objective = EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3)).train()
    objective.zero_grad()
    loss = objective(batch)["loss"]
    loss.backward()
    gradients = {
        name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None
    }
    return loss.item(), gradients


def test_a_step_on_kept_features_is_one_through_the_encoders(tmp_path: Path) -> None:
    model, inputs = frozen_network(), inputs_of(EXAMPLES)
    data = replace(GOLD, drop_audio=0.2, drop_text=0.2)
    direct, through = (
        Collator(source, data, model, numbers(EXAMPLES)).training_batch(EXAMPLES, [True] * 12, 1, 0)
        for source in (with_features(model, inputs, EXAMPLES, tmp_path), inputs)
    )
    assert isinstance(direct.audio, FrozenBatch)
    assert isinstance(through.audio, AudioBatch)
    assert torch.equal(direct.audio.present, through.audio.present)
    loss, gradients = stepped(model, direct)
    expected, through_encoders = stepped(model, through)
    assert loss == pytest.approx(expected, rel=1e-3)
    assert gradients.keys() == through_encoders.keys()
    assert {"audio_encoder.mix.weights", "text_encoder.mix.weights"} <= gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, through_encoders[name], rtol=0.02, atol=2e-3, msg=name)


def test_a_cut_of_kept_frames_holds_what_a_cut_of_the_sound_does(tmp_path: Path) -> None:
    """The window's frames are the clip's own, and every word keeps the frames that lie in the window."""
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
        places = SpanBatch(words, torch.ones(words.shape[:2], dtype=torch.bool))
        assert torch.equal(
            cut.spans["word"].bounds[row][cut.spans["word"].mask[row]], words[0] - start * step
        )
        whole = frames_of(model, places, states.shape[1])
        moved = SpanBatch(cut.spans["word"].bounds[row][None], cut.spans["word"].mask[row][None])
        inside = frames_of(model, moved, limit)[: len(whole)]
        in_window = whole[:, start : start + limit]
        cut_through = whole.any(1) & ~in_window.all(1) & ~in_window.any(1)
        assert torch.equal(inside[~cut_through], in_window[~cut_through])
    assert len(starts) > 3


def frames_of(model: EmotionModel, spans: SpanBatch, frames: int) -> Tensor:
    """(S, T)"""
    centres = model.audio_encoder.frame_centres(frames)
    return frames_inside(spans, centres, torch.ones(1, frames, dtype=torch.bool), model.audio_encoder.step)[0]
