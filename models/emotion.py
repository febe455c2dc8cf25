"""The emotion model: wav2vec 2.0 and BERT, co-attention, three heads.

It gives logits; `calibration` makes probabilities of them. It knows no files, no tokenizer and no
devices: `recognizer` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .collate import AudioBatch, TextBatch
from .config import EmotionConfig
from .encoders import AudioEncoder, TextEncoder
from .fusion import AttentivePooling, CoAttention, FusionSize


@dataclass(frozen=True, slots=True)
class Encoded:
    """One modality of a batch. features: (B, T, H); mask: (B, T); present: (B,) false where absent."""

    features: Tensor
    mask: Tensor
    present: Tensor


@dataclass(frozen=True, slots=True)
class EmotionOutput:
    """Logits (B, C) of the three heads, and the codes (B, D) that contrastive regularization pairs."""

    early: Tensor
    audio: Tensor
    text: Tensor
    audio_code: Tensor
    text_code: Tensor

    def logits(self) -> dict[str, Tensor]:
        return {"early": self.early, "audio": self.audio, "text": self.text}


class EmotionModel(PreTrainedModel):
    """Sound and words to logits over `config.label_names`."""

    config_class = EmotionConfig
    base_model_prefix = "emotion"
    main_input_name = "audio"

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__(config)
        width, labels = config.width, len(config.label_names)
        audio_width, text_width = config.audio_config.hidden_size, config.text_config.hidden_size
        self.audio_encoder = AudioEncoder(config.audio_config)
        self.text_encoder = TextEncoder(config.text_config)
        self.audio_pool = AttentivePooling(audio_width, deviation=True)
        self.text_pool = AttentivePooling(text_width, deviation=True)
        self.audio_head = _head(2 * audio_width, config, labels)
        self.text_head = _head(2 * text_width, config, labels)
        self.audio_projection = _projection(audio_width, width)
        self.text_projection = _projection(text_width, width)
        self.absent_audio = nn.Parameter(torch.zeros(width))
        self.absent_text = nn.Parameter(torch.zeros(width))
        size = FusionSize(width, config.heads, config.feed_forward, config.layers, config.dropout)
        self.fusion = CoAttention(size)
        self.early_audio_pool = AttentivePooling(width)
        self.early_text_pool = AttentivePooling(width)
        self.early_head = _head(2 * width, config, labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """The encoders and torch's own layers start as they were made; nothing is drawn twice."""

    def encode_audio(self, batch: AudioBatch) -> Encoded:
        """The branch that needs no words."""
        features, mask = self.audio_encoder(batch.samples, batch.mask)
        return Encoded(features, mask, batch.present)

    def encode_text(self, batch: TextBatch) -> Encoded:
        """Rows without text never enter BERT: a row that is all padding has no softmax."""
        rows = batch.present.nonzero()[:, 0]
        shape = (*batch.ids.shape, self.config.text_config.hidden_size)
        features = self.absent_text.new_zeros(shape)
        if len(rows):
            encoded, _ = self.text_encoder(batch.ids[rows], batch.mask[rows])
            features = features.to(encoded.dtype).index_copy(0, rows, encoded)
        return Encoded(features, batch.mask & batch.present[:, None], batch.present)

    def fuse(self, audio: Encoded, text: Encoded) -> EmotionOutput:
        """Both branches to logits. A row whose modality is absent holds one learned token instead."""
        heard = _with_first(audio.mask, audio.present)
        read = _with_first(text.mask, text.present)
        sound = _absent(self.audio_projection(audio.features), audio.present, self.absent_audio)
        words = _absent(self.text_projection(text.features), text.present, self.absent_text)
        fused_sound, fused_words = self.fusion(sound, heard, words, read)
        audio_code = self.early_audio_pool(fused_sound, heard)
        text_code = self.early_text_pool(fused_words, read)
        return EmotionOutput(
            early=self.early_head(torch.cat([audio_code, text_code], dim=1)),
            audio=self.audio_head(self.audio_pool(audio.features, heard)),
            text=self.text_head(self.text_pool(text.features, read)),
            audio_code=_masked_mean(sound, heard),
            text_code=_masked_mean(words, read),
        )

    def forward(self, audio: AudioBatch, text: TextBatch) -> EmotionOutput:
        return self.fuse(self.encode_audio(audio), self.encode_text(text))


def _projection(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inner, outer), nn.LayerNorm(outer))


def _head(inner: int, config: EmotionConfig, labels: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(inner),
        nn.Dropout(config.dropout),
        nn.Linear(inner, config.feed_forward),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.feed_forward, labels),
    )


def _with_first(mask: Tensor, present: Tensor) -> Tensor:
    """Absent rows get their first position, and only that."""
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return torch.where(present[:, None], mask, first)


def _absent(features: Tensor, present: Tensor, token: Tensor) -> Tensor:
    return torch.where(present[:, None, None], features, token.to(features.dtype))


def _masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)
