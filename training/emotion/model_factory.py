"""Builds models that share the same pretrained encoders and differ in everything between them."""

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
from .lora import add_adapters
from .settings import ModelSettings


@dataclass(frozen=True, slots=True)
class ModelFactory:
    """The pretrained encoders, loaded once as a template model, and the text encoder's tokenizer."""

    template: EmotionModel
    tokenizer: Tokenizer

    @classmethod
    def load(cls, settings: ModelSettings, labels: Sequence[str]) -> ModelFactory:
        """Raises CheckpointError where an encoder cannot be loaded, SettingsError for invalid sizes."""
        try:
            template, tokenizer = assemble(
                settings.audio, settings.text, **settings_of_new_parts(settings, labels)
            )
        except ValueError as error:
            raise SettingsError(f"model: {error}") from error
        return cls(template.eval(), tokenizer)

    def build(self, settings: ModelSettings, seed: int) -> EmotionModel:
        """A model whose parameters between the encoders are initialized from `seed`. Raises SettingsError."""
        pretrained = self.template.config
        torch.manual_seed(seed)
        try:
            config = EmotionConfig(
                audio_config=pretrained.audio_config.to_dict(),
                text_config=pretrained.text_config.to_dict(),
                audio_unit_variance=pretrained.audio_unit_variance,
                max_tokens=pretrained.max_tokens,
                **settings_of_new_parts(settings, pretrained.label_names),
            )
            model = EmotionModel(config)
            for name in ("audio_encoder", "text_encoder"):
                backbone = getattr(self.template, name).backbone
                getattr(model, name).backbone.load_state_dict(backbone.state_dict())
            torch.nn.init.normal_(model.absent_audio, std=0.02)
            torch.nn.init.normal_(model.absent_text, std=0.02)
            freeze(model.audio_encoder, settings.audio_frozen)
            freeze(model.text_encoder, settings.text_frozen)
            if settings.lora_rank:
                add_adapters(model.audio_encoder, settings.lora_rank, settings.lora_alpha)
                add_adapters(model.text_encoder, settings.lora_rank, settings.lora_alpha)
        except ValueError as error:
            raise SettingsError(f"model: {error}") from error
        return model


def settings_of_new_parts(settings: ModelSettings, labels: Sequence[str]) -> dict[str, Any]:
    """What of an EmotionConfig the settings decide: everything but the encoders."""
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
