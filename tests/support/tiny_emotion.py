"""An emotion checkpoint of a few thousand random weights: real code, no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, Wav2Vec2Config

from emostream.models import Samples
from emostream.models.checkpoint import save_checkpoint
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.training.distillation.vocabulary import build_tokenizer

SENTENCES = [
    "i am so happy to see you",
    "leave me alone i hate this",
    "she died and i miss her",
    "the door is open",
]


def tiny_config(norm: str = "layer", **changes: Any) -> EmotionConfig:
    audio = Wav2Vec2Config(
        conv_dim=[16, 16, 16],
        conv_kernel=[10, 8, 4],
        conv_stride=[8, 8, 5],
        conv_bias=True,
        feat_extract_norm=norm,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_conv_pos_embeddings=7,
        num_conv_pos_embedding_groups=2,
        apply_spec_augment=False,
        mask_time_prob=0.0,
    )
    text = BertConfig(
        vocab_size=120,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    small: dict[str, Any] = {"audio_config": audio, "text_config": text, "max_tokens": 32}
    small |= {"width": 16, "heads": 2, "feed_forward": 32}
    return EmotionConfig(**(small | changes))


def tiny_model(norm: str = "layer", seed: int = 0, **changes: Any) -> EmotionModel:
    torch.manual_seed(seed)
    model = EmotionModel(tiny_config(norm, **changes))
    with torch.no_grad():  # larger weights than a start of training has: differences must show
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    model.eval()
    return model


def tiny_tokenizer() -> Tokenizer:
    """The words of SENTENCES, and letters for any other."""
    words = {word for sentence in SENTENCES for word in sentence.split()}
    letters = {letter for word in words for letter in word}
    return build_tokenizer(words | letters | {f"##{letter}" for letter in letters})


def write_tiny(folder: Path, norm: str = "layer", **changes: Any) -> Path:
    save_checkpoint(tiny_model(norm, **changes), tiny_tokenizer(), folder)
    return folder


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Samples:
    """(N,) float32 that swells and ebbs, so that its frames differ."""
    rng = np.random.default_rng(seed)
    swell = 0.2 + np.abs(np.sin(np.arange(samples) / 3000.0))
    return (level * swell * rng.standard_normal(samples)).astype(np.float32)
