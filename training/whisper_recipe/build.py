"""Builds the model of the recipe: a shared Whisper encoder, the text branch of another checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from emostream.models.baseline import BaselineSettings
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.identity import SharedEncoder
from emostream.models.encoders.shared import fill_shared_encoder, shared_config

from .settings import WhisperRunSettings


def template(settings: WhisperRunSettings, whisper: Path) -> tuple[EmotionModel, Tokenizer]:
    """The model before any training of this recipe: its encoder from a faster-whisper folder, its text branch
    and tokenizer from the bundled checkpoint. Raises CheckpointError.
    """
    bundled = load_checkpoint(BUNDLED)
    text = bundled.model.config
    encoder = settings.encoder
    fields: dict[str, Any] = {
        "audio_config": shared_config(whisper),
        "shared_encoder": SharedEncoder.of(whisper, encoder.name).fields(),
        "text_config": text.text_config,
        "max_tokens": text.max_tokens,
        "text_prior": text.text_prior,
        "label_names": text.label_names,
        "audio_mix": "concat",
        "audio_mix_layers": list(encoder.layers),
        "audio_mix_width": encoder.mix_width,
        "audio_unit_variance": False,
        "audio_level": encoder.level,
        "pooling_heads": encoder.pooling_heads,
        "classifier": "linear",
        "classifier_dropout": settings.head.classifier_dropout,
        "width": encoder.width,
        "layers": encoder.fusion_layers,
        "dropout": encoder.dropout,
        "baseline": BaselineSettings(settings.baseline.prior_count).fields(),
    }
    torch.manual_seed(settings.seed)
    model = EmotionModel(EmotionConfig(**fields))
    fill_shared_encoder(model.audio_encoder, whisper)
    for name in ("text_encoder", "text_pool", "text_head"):
        getattr(model, name).load_state_dict(getattr(bundled.model, name).state_dict())
    return model.eval(), bundled.tokenizer


def new_model(source: EmotionModel, settings: WhisperRunSettings) -> EmotionModel:
    """A copy with parts of its own in place of everything but the encoders and the text-only head."""
    torch.manual_seed(settings.seed)
    model = EmotionModel(EmotionConfig(**source.config.to_dict()))
    for name in ("audio_encoder.backbone", "text_encoder", "text_pool", "text_head"):
        model.get_submodule(name).load_state_dict(source.get_submodule(name).state_dict())
    torch.nn.init.normal_(model.absent_audio, std=0.02)
    torch.nn.init.normal_(model.absent_text, std=0.02)
    return model
