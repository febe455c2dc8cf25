"""Builds the model of the recipe: frozen encoders, with new parts of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from emostream.models.baseline import BaselineSettings
from emostream.models.checkpoint import load_checkpoint
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.identity import SharedEncoder
from emostream.models.encoders.shared import fill_shared_encoder, shared_config

from .settings import CrossCorpusSettings, EncoderSettings


def template(
    settings: CrossCorpusSettings, encoders: Path, whisper: Path | None
) -> tuple[EmotionModel, Tokenizer]:
    """The model before any training of this recipe. Raises CheckpointError.

    encoders: the checkpoint folder whose text branch and tokenizer it has, and whose audio encoder where
    there is no `whisper`, a faster-whisper folder.
    """
    given = load_checkpoint(encoders)
    text = given.model.config
    encoder = settings.encoder
    fields: dict[str, Any] = {
        **_audio_fields(encoder, text, whisper),
        "text_config": text.text_config,
        "max_tokens": text.max_tokens,
        "text_prior": text.text_prior,
        "label_names": text.label_names,
        "audio_mix": "concat",
        "audio_mix_layers": list(encoder.layers),
        "audio_mix_width": encoder.mix_width,
        "pooling_heads": text.pooling_heads,
        "classifier": text.classifier,
        "feed_forward": text.feed_forward,
        "heads": text.heads,
        "classifier_dropout": settings.head.classifier_dropout,
        "width": encoder.width,
        "layers": encoder.fusion_layers,
        "dropout": encoder.dropout,
        "baseline": BaselineSettings(settings.baseline.prior_count).fields(),
    }
    torch.manual_seed(settings.seed)
    model = EmotionModel(EmotionConfig(**fields))
    copied = ["text_encoder", "text_pool", "text_head"]
    if whisper is not None:
        fill_shared_encoder(model.audio_encoder, whisper)
    else:
        copied.append("audio_encoder.backbone")
    for name in copied:
        model.get_submodule(name).load_state_dict(given.model.get_submodule(name).state_dict())
    return model.eval(), given.tokenizer


def _audio_fields(encoder: EncoderSettings, given: EmotionConfig, whisper: Path | None) -> dict[str, Any]:
    """Of EmotionConfig: the encoder, and how its input is scaled. given: of the checkpoint of `encoders`."""
    if whisper is None:
        return {
            "audio_config": given.audio_config,
            "audio_unit_variance": given.audio_unit_variance,
            "audio_level": given.audio_level,
        }
    return {
        "audio_config": shared_config(whisper),
        "shared_encoder": SharedEncoder.of(whisper, encoder.name).fields(),
        "audio_unit_variance": False,
        "audio_level": encoder.level,
    }


def new_model(source: EmotionModel, settings: CrossCorpusSettings) -> EmotionModel:
    """A copy with parts of its own in place of everything but the encoders and the text-only head."""
    torch.manual_seed(settings.seed)
    model = EmotionModel(EmotionConfig(**source.config.to_dict()))
    for name in ("audio_encoder.backbone", "text_encoder", "text_pool", "text_head"):
        model.get_submodule(name).load_state_dict(source.get_submodule(name).state_dict())
    torch.nn.init.normal_(model.absent_audio, std=0.02)
    torch.nn.init.normal_(model.absent_text, std=0.02)
    return model
