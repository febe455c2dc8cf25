"""Encoders of every kind with a few thousand random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    HubertConfig,
    PretrainedConfig,
    Wav2Vec2Config,
    WavLMConfig,
    WhisperConfig,
)

from emostream.models import Samples
from emostream.models.collate import AudioBatch, collate_audio
from emostream.models.encoders.base import AudioEncoder
from emostream.models.encoders.factory import make_audio_encoder, make_text_encoder
from emostream.models.encoders.layer_mix import LayerConcat
from emostream.models.encoders.text import TextEncoder

E = TypeVar("E", bound=nn.Module)

LAYERS = 3
VOCABULARY = 120

_WAV2VEC2 = {
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [8, 8, 5],
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}

_TEXT: dict[str, float] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "max_position_embeddings": 34,
}
_TEXT_SIZES: dict[str, dict[str, float]] = {
    "distilbert": {
        "vocab_size": VOCABULARY,
        "dim": 16,
        "hidden_dim": 32,
        "n_layers": LAYERS,
        "n_heads": 2,
        "max_position_embeddings": 34,
    },
    "electra": _TEXT | {"embedding_size": 12},
    "modernbert": _TEXT | dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id"), 0),
}
_TEXT_SIZES["modernbert"] |= {"eos_token_id": 1, "sep_token_id": 1, "mlp_dropout": 0.1}


def audio_configs() -> dict[str, PretrainedConfig]:
    """Each kind, and each of its variants that runs other code."""
    return {
        "wav2vec2, layer norm": Wav2Vec2Config(**_WAV2VEC2, feat_extract_norm="layer", conv_bias=True),
        "wav2vec2, group norm": Wav2Vec2Config(**_WAV2VEC2),
        "wav2vec2, stable": Wav2Vec2Config(**_WAV2VEC2, **_STABLE),
        "wav2vec2, mel": Wav2Vec2Config(**_WAV2VEC2, **_STABLE, mel_bins=80),
        "hubert": HubertConfig(**_WAV2VEC2),
        "hubert, stable": HubertConfig(**_WAV2VEC2, **_STABLE),
        "wavlm": WavLMConfig(**_WAV2VEC2),
        "wavlm, stable": WavLMConfig(**_WAV2VEC2, **_STABLE),
        "whisper": tiny_whisper_config(),
    }


def tiny_whisper_config(bins: int = 80) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=bins,
        d_model=24,
        encoder_layers=LAYERS,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.1,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    )


def text_config(model_type: str, **fields: object) -> PretrainedConfig:
    return AutoConfig.for_model(model_type, **(_TEXT_SIZES.get(model_type, _TEXT) | fields))


def tiny_audio_encoder(kind: str, seed: int = 0) -> AudioEncoder:
    return _roughened(make_audio_encoder(audio_configs()[kind]), seed)


def tiny_text_encoder(model_type: str, seed: int = 0) -> TextEncoder:
    return _roughened(make_text_encoder(text_config(model_type)), seed)


def _roughened(encoder: E, seed: int) -> E:
    """Larger weights than a start of training has: differences must show."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in encoder.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    return encoder.eval()


def batch_of(encoder: AudioEncoder, clips: Sequence[Samples]) -> AudioBatch:
    return collate_audio(clips, encoder.waveform_spec)


def token_batch(lengths: Sequence[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random lines of these lengths: ids (B, T), mask (B, T)."""
    torch.manual_seed(seed)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randint(5, VOCABULARY, mask.shape) * mask, mask


def layer_concat_of(encoder: Any) -> LayerConcat:
    """The mix of an encoder whose layers are concatenated."""
    assert isinstance(encoder.mix, LayerConcat)
    return encoder.mix


def with_random_statistics(mix: LayerConcat, seed: int = 0) -> LayerConcat:
    """Standardised by some mean and deviation, as training does it."""
    generator = torch.Generator().manual_seed(seed)
    layers = max(mix.chosen) + 1
    mean = torch.randn(layers, mix.mean.shape[1], generator=generator)
    mix.standardise(mean, 0.5 + torch.rand(mean.shape, generator=generator))
    return mix
