"""Encoders of known sizes with random weights: to count and to time what they compute, without a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from transformers import (
    BertConfig,
    HubertConfig,
    PretrainedConfig,
    RobertaConfig,
    Wav2Vec2Config,
    WavLMConfig,
    WhisperConfig,
)

from emostream.models.pretrained import read_encoder_config


def _whisper(width: int, layers: int, heads: int) -> PretrainedConfig:
    sizes = {"d_model": width, "encoder_layers": layers, "encoder_attention_heads": heads}
    return WhisperConfig(**sizes, encoder_ffn_dim=4 * width)


_SHAPES: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    # The library's defaults are the base sizes.
    "facebook/wav2vec2-base": Wav2Vec2Config,
    "facebook/hubert-base-ls960": HubertConfig,
    "microsoft/wavlm-base": WavLMConfig,
    "microsoft/wavlm-base-plus": WavLMConfig,
    "openai/whisper-tiny.en": lambda: _whisper(384, 4, 6),
    "openai/whisper-base": lambda: _whisper(512, 6, 8),
    "bert-base-uncased": BertConfig,
    "roberta-base": lambda: RobertaConfig(vocab_size=50265, max_position_embeddings=514),
    "sentence-transformers/all-MiniLM-L6-v2": lambda: BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    ),
}


def encoder_shape(name: str) -> PretrainedConfig:
    """The configuration of an encoder: of a known name without a file, otherwise of a folder or a hub model.

    Raises CheckpointError where there is none.
    """
    make = _SHAPES.get(name)
    return read_encoder_config(name) if make is None else make()
