"""Frozen parts of an encoder: no gradient, no dropout, whatever mode the model is in."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from emostream.models.emotion import EmotionModel
from emostream.models.encoders.base import AudioEncoder, Encoder
from emostream.models.encoders.factory import FreezeDepth, freeze
from tests.support.tiny_emotion import noise, tiny_config
from tests.support.tiny_encoders import (
    LAYERS,
    audio_configs,
    batch_of,
    tiny_audio_encoder,
    tiny_text_encoder,
    token_batch,
)

# DeBERTa and ModernBERT of transformers 4.57 are compiled in a way that torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

FRONT_ENDS = {
    "audio": r"feature_extractor\.|feature_projection\.",
    "whisper": r"conv1\.|conv2\.|embed_positions\.",
    "text": r"embeddings\.|embeddings_project\.",
}
LAYER_ONE = {"audio": r"encoder\.pos_conv_embed\.|encoder\.layer_norm\.", "whisper": r"$^", "text": r"$^"}
"""What stands between the front end and the first layer, and is frozen with it."""

LAYER = r"(?:encoder\.|transformer\.)?layers?\.(\d+)\."

AUDIO = ["wav2vec2, group norm", "wav2vec2, layer norm", "wav2vec2, stable", "hubert", "wavlm", "whisper"]
TEXT = ["bert", "roberta", "distilbert", "electra", "deberta-v2", "mpnet", "modernbert"]
DEPTHS: list[FreezeDepth] = ["none", "front_end", 0, 1, 2, LAYERS, "all"]


def encoder_of(kind: str) -> Encoder:
    return tiny_text_encoder(kind) if kind in TEXT else tiny_audio_encoder(kind)


def outcome(encoder: Encoder) -> Tensor:
    """One forward of some input, as a scalar."""
    if isinstance(encoder, AudioEncoder):
        batch = batch_of(encoder, [noise(6_000), noise(4_000, seed=1)])
        features: Tensor = encoder(batch.samples, batch.mask)[0]
    else:
        features = encoder(*token_batch((9, 5)))[0]
    return features.square().sum()


def should_learn(kind: str, name: str, depth: FreezeDepth) -> bool:
    """By its name alone: whether a weight lies above the frozen part."""
    if name.startswith("mix."):
        return True
    name = name.removeprefix("backbone.")
    if name.startswith("embed_positions."):
        return False  # Whisper's sinusoids are never learned
    family = "text" if kind in TEXT else "whisper" if kind == "whisper" else "audio"
    layers = -1 if depth == "none" else 0 if depth == "front_end" else 99 if depth == "all" else depth
    assert isinstance(layers, int)
    if match := re.match(LAYER, name):
        return int(match[1]) >= layers
    if re.match(FRONT_ENDS[family], name):
        return layers < 0
    # A norm after the last layer, in the pre-norm variant, belongs to no layer.
    if re.match(LAYER_ONE[family], name) and not (kind.endswith("stable") and "layer_norm" in name):
        return layers < 1
    return layers < 99


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", AUDIO + TEXT)
def test_only_weights_above_the_depth_get_gradients(kind: str, depth: FreezeDepth) -> None:
    encoder = encoder_of(kind).train()
    freeze(encoder, depth)
    torch.manual_seed(0)
    outcome(encoder).backward()
    learning = {name for name, weights in encoder.named_parameters() if weights.grad is not None}
    assert learning == {name for name, _ in encoder.named_parameters() if should_learn(kind, name, depth)}


@pytest.mark.parametrize("kind", AUDIO + TEXT)
def test_a_frozen_encoder_has_the_same_output_in_training_mode(kind: str) -> None:
    encoder = encoder_of(kind).eval()
    expected = outcome(encoder)
    assert outcome(encoder.train()) != expected
    freeze(encoder, "all")
    # Another attention kernel may run without gradients: equal but for the last bit.
    torch.testing.assert_close(outcome(encoder.train()), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("depth", ["front_end", 1])
def test_train_mode_applies_to_the_trainable_part_only(depth: FreezeDepth) -> None:
    model = EmotionModel(tiny_config())
    freeze(model.audio_encoder, depth)
    freeze(model.text_encoder, depth)
    model.eval()
    model.train()
    audio, text = model.audio_encoder.backbone, model.text_encoder.backbone
    assert not audio.feature_extractor.training
    assert not audio.feature_projection.dropout.training
    assert not text.embeddings.dropout.training
    assert audio.encoder.layers[0].training == text.encoder.layer[0].training == (depth == "front_end")
    assert audio.encoder.layers[1].training
    assert text.encoder.layer[1].training
    assert model.audio_head.training
    model.eval()
    assert not any(module.training for module in model.modules())


def test_a_smaller_depth_does_not_unfreeze() -> None:
    encoder = tiny_audio_encoder("hubert")
    freeze(encoder, 2)
    freeze(encoder, "front_end")
    freeze(encoder, "none")
    assert not any(weights.requires_grad for weights in encoder.backbone.encoder.layers[1].parameters())


def test_freezing_does_not_rename_weights() -> None:
    encoder = tiny_audio_encoder("whisper")
    names = list(encoder.state_dict())
    freeze(encoder, 1)
    assert list(encoder.state_dict()) == names


@pytest.mark.parametrize("depth", [-1, LAYERS + 1, True, 1.0, "half", "", None])
@pytest.mark.parametrize("kind", ["hubert", "whisper", "bert"])
def test_an_invalid_depth_is_rejected_with_one_line(kind: str, depth: Any) -> None:
    with pytest.raises(
        ValueError, match=f"none, front_end, 0 to {LAYERS}, all, got {depth!r}: choose"
    ) as caught:
        freeze(encoder_of(kind), depth)
    assert "\n" not in str(caught.value)


def test_layers_with_shared_weights_are_frozen_together_or_rejected() -> None:
    encoder = tiny_text_encoder("albert")
    with pytest.raises(ValueError, match="0 to 0"):
        freeze(encoder, 1)
    freeze(encoder, "front_end")
    assert not encoder.backbone.embeddings.word_embeddings.weight.requires_grad


def test_every_encoder_type_is_tested_here() -> None:
    assert {name.split(",")[0] for name in audio_configs()} == {name.split(",")[0] for name in AUDIO}
