"""Models that differ in their heads and start from the same pretrained encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.factory import freeze
from emostream.models.pretrained import assemble

from ..errors import SettingsError
from .settings import ModelSettings


@dataclass(frozen=True, slots=True)
class ModelFactory:
    """The encoders as their checkpoints have them, read once, and their tokenizer."""

    template: EmotionModel
    tokenizer: Tokenizer

    @classmethod
    def read(cls, settings: ModelSettings, labels: Sequence[str]) -> ModelFactory:
        """Raises CheckpointError where an encoder cannot be had, SettingsError for impossible sizes."""
        try:
            template, tokenizer = assemble(settings.audio, settings.text, **_new_parts(settings, labels))
        except ValueError as error:
            raise SettingsError(f"model: {error}") from error
        return cls(template.eval(), tokenizer)

    def new(self, settings: ModelSettings, seed: int) -> EmotionModel:
        """What is new between the encoders is drawn by `seed`. Raises SettingsError."""
        old = self.template.config
        torch.manual_seed(seed)
        try:
            config = EmotionConfig(
                audio_config=old.audio_config.to_dict(),
                text_config=old.text_config.to_dict(),
                audio_unit_variance=old.audio_unit_variance,
                max_tokens=old.max_tokens,
                **_new_parts(settings, old.label_names),
            )
            model = EmotionModel(config)
            for name in ("audio_encoder", "text_encoder"):
                backbone = getattr(self.template, name).backbone
                getattr(model, name).backbone.load_state_dict(backbone.state_dict())
            torch.nn.init.normal_(model.absent_audio, std=0.02)
            torch.nn.init.normal_(model.absent_text, std=0.02)
            freeze(model.audio_encoder, settings.audio_frozen)
            freeze(model.text_encoder, settings.text_frozen)
        except ValueError as error:
            raise SettingsError(f"model: {error}") from error
        return model


def _new_parts(settings: ModelSettings, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label_names": list(labels),
        "width": settings.width,
        "heads": settings.heads,
        "feed_forward": settings.feed_forward,
        "layers": settings.layers,
        "dropout": settings.dropout,
        "audio_mix": settings.audio_mix,
        "audio_mix_layers": settings.audio_mix_layers,
        "audio_mix_width": settings.audio_mix_width,
        "pooling_heads": settings.pooling_heads,
        "classifier": settings.classifier,
        "classifier_dropout": settings.classifier_dropout,
        "granularities": settings.granularities,
        "span_pooling": settings.span_pooling,
        "fusion": settings.fusion,
    }
