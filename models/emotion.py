"""The emotion model: wav2vec 2.0 and BERT, their fusion by co-attention or concatenation, three heads.

It outputs logits, which `calibration` turns into probabilities. Files, tokenizer and devices are up to
`recognizer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from .collate import AudioBatch, TextBatch
from .config import EmotionConfig
from .encoders.factory import make_audio_encoder, make_text_encoder
from .encoders.identity import BACKBONE, SharedEncoder
from .encoders.layer_mix import LayerConcat
from .encoders.shared import fill_shared_encoder
from .fusion import AttentivePooling, ConcatFusion, EarlyFusion, FusedOutput, FusionSize, MaskedSequence
from .granularity import SpanPooling, Spans, frames_inside


@dataclass(frozen=True, slots=True)
class EncodedModality:
    """One modality of a batch. features: (B, T, H); mask: (B, T); present: (B,) false where absent.

    voice: (B, D), each clip's mean standardised state, in a model that takes baselines; its features are then
    those before the activation.
    """

    features: Tensor
    mask: Tensor
    present: Tensor
    voice: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Baselines:
    """Of the speakers of a batch. shifts: (B, D), subtracted from the standardised states; zero: the common
    one.

    known: (B,) how much of it is the speaker's own, 0 to 1.
    """

    shifts: Tensor
    known: Tensor


@dataclass(frozen=True, slots=True)
class EmotionOutput:
    """Logits (B, C) of the heads, and the codes that contrastive regularization pairs.

    early: of the fused head, by co-attention or concatenation; None in a model with late fusion only.
    audio_embedding, text_embedding: (B, A), (B, T), `EmotionModel.code_sizes`: whatever the heads that decide
    read of each side.
    """

    early: Tensor | None
    audio: Tensor
    text: Tensor
    audio_embedding: Tensor
    text_embedding: Tensor

    def logits(self) -> dict[str, Tensor]:
        """Logits by head, for the heads that this model has."""
        early = {} if self.early is None else {"early": self.early}
        return early | {"audio": self.audio, "text": self.text}


class EmotionModel(PreTrainedModel):
    """Audio and text to logits over `config.label_names`."""

    config_class = EmotionConfig
    base_model_prefix = "emotion"
    main_input_name = "audio"

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__(config)
        width = config.width
        self.audio_encoder = make_audio_encoder(
            config.audio_config, unit_variance=config.audio_unit_variance, level=config.audio_level
        )
        if config.audio_mix == "concat":
            self.audio_encoder.concatenate(config.audio_mix_layers, config.audio_mix_width, config.dropout)
        self.text_encoder = make_text_encoder(config.text_config)
        audio_width, text_width = self.audio_encoder.hidden_size, self.text_encoder.hidden_size
        self.audio_pool = AttentivePooling(audio_width, deviation=True, heads=config.pooling_heads)
        self.text_pool = AttentivePooling(text_width, deviation=True, heads=config.pooling_heads)
        self.audio_head = _head(2 * audio_width, config)
        self.text_head = _head(2 * text_width, config)
        # What separates emotions once the voice is subtracted is not what separates them before.
        self.adapted_head = None if config.baseline is None else _head(2 * audio_width, config)
        self.audio_projection = _projection(audio_width, width)
        self.text_projection = _projection(text_width, width)
        self.absent_audio = nn.Parameter(torch.zeros(width))
        self.absent_text = nn.Parameter(torch.zeros(width))
        self.early = _early_fusion(config)
        self.span_pools = nn.ModuleDict(
            {kind: SpanPooling(audio_width, config.span_pooling) for kind in config.spans}
        )
        # Embeddings that distinguish a word's vector from a phone's; frames are the reference and have none.
        self.kinds = nn.ParameterDict(
            {kind: nn.Parameter(0.02 * torch.randn(width)) for kind in config.spans}
        )
        self.post_init()
        if config.shared_encoder is not None:
            self._keys_to_ignore_on_save = {name for name in self.state_dict() if name.startswith(BACKBONE)}

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but in float32 regardless of the file, as heads and fusion require.

        A shared encoder is looked for in the local cache and in packages. Raises CheckpointError where there
        is none. `checkpoint.load_checkpoint` validates more strictly.
        """
        loaded = super().from_pretrained(*args, **({"dtype": torch.float32} | kwargs))
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if model.config.shared_encoder is not None:
            folder = SharedEncoder.from_fields(model.config.shared_encoder).find()
            fill_shared_encoder(model.audio_encoder, folder)
        return loaded

    def _init_weights(self, module: nn.Module) -> None:
        """Keep the constructors' initialisation of the encoders and layers; nothing is drawn again."""

    def encode_audio(self, batch: AudioBatch) -> EncodedModality:
        """The audio branch, which needs no text."""
        states, mask = self.audio_encoder.layers(batch.samples, batch.mask)
        return self.encode_states(states, mask, batch.present)

    @property
    def concatenation(self) -> LayerConcat:
        """The audio encoder's mix, in a model that takes baselines."""
        mix = self.audio_encoder.mix
        assert isinstance(mix, LayerConcat)
        return mix

    def encode_states(self, states: Sequence[Tensor], mask: Tensor, present: Tensor) -> EncodedModality:
        """The audio branch behind the encoder's layers. states: L tensors (B, T, H); mask: (B, T)."""
        if self.config.baseline is None:
            return EncodedModality(self.audio_encoder.mix(states).float(), mask, present)
        features, voice = self.concatenation.with_mean(states, mask)
        return EncodedModality(features.float(), mask, present, voice)

    def encode_text(self, batch: TextBatch) -> EncodedModality:
        """The text branch. Rows without text skip BERT: the softmax of an all-padding row is undefined."""
        rows = batch.present.nonzero()[:, 0]
        features = self.absent_text.new_zeros((*batch.ids.shape, self.text_encoder.hidden_size))
        if len(rows):
            encoded, _ = self.text_encoder(batch.ids[rows], batch.mask[rows])
            features = features.index_copy(0, rows, encoded.to(features.dtype))
        return EncodedModality(features, batch.mask & batch.present[:, None], batch.present)

    def fuse(
        self,
        audio: EncodedModality,
        text: EncodedModality,
        spans: Spans | None = None,
        baselines: Baselines | None = None,
    ) -> EmotionOutput:
        """Both branches to logits. A row whose modality is absent gets one learned token instead.

        spans: for every granularity of the configuration except frames; without them, the audio side of those
        streams counts as absent. baselines: in a model that takes them; None: no speaker is known.
        """
        audio = self._against(audio, baselines)
        audio_mask = _with_first(audio.mask, audio.present)
        text_mask = _with_first(text.mask, text.present)
        projected_audio = _absent(self.audio_projection(audio.features), audio.present, self.absent_audio)
        projected_text = _absent(self.text_projection(text.features), text.present, self.absent_text)
        text_side = MaskedSequence(projected_text, text_mask)
        frames = MaskedSequence(projected_audio, audio_mask)
        fused: FusedOutput | None = None
        if isinstance(self.early, ConcatFusion):
            fused = self.early(frames, text_side)
        elif self.early is not None:
            fused = self.early({"frame": frames} | self._finer(audio, spans or {}), text_side)
        # Where the fused head alone decides, the single-modality heads must not train the encoders.
        decide = self.single_heads_decide
        audio_vector = self.audio_pool(audio.features if decide else audio.features.detach(), audio_mask)
        text_vector = self.text_pool(text.features if decide else text.features.detach(), text_mask)
        audio_code, text_code = self._codes(fused, audio_vector, text_vector)
        return EmotionOutput(
            early=None if fused is None else fused.logits,
            audio=self.classify_audio(audio_vector, baselines),
            text=self.text_head(text_vector),
            audio_embedding=audio_code,
            text_embedding=text_code,
        )

    @property
    def single_heads_decide(self) -> bool:
        """Whether the output depends on the two single-modality heads."""
        return "audio" in self.config.fused_heads("both")

    @property
    def code_sizes(self) -> tuple[int, int]:
        """Widths of the codes of audio and text in `EmotionOutput`."""
        fused = 0
        if self.early is not None:
            streams = 1 if isinstance(self.early, ConcatFusion) else len(self.config.granularities)
            fused = self.config.width * streams
        single = 2 * self.single_heads_decide
        return (
            fused + single * self.audio_encoder.hidden_size,
            fused + single * self.text_encoder.hidden_size,
        )

    def _codes(
        self, fused: FusedOutput | None, audio_vector: Tensor, text_vector: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the deciding heads read: of the fused head, of the single-modality heads, or of both."""
        if fused is None:
            return audio_vector, text_vector
        if not self.single_heads_decide:
            return fused.audio, fused.text
        return torch.cat([fused.audio, audio_vector], dim=1), torch.cat([fused.text, text_vector], dim=1)

    def forward(self, audio: AudioBatch, text: TextBatch, spans: Spans | None = None) -> EmotionOutput:
        return self.fuse(self.encode_audio(audio), self.encode_text(text), spans)

    def classify_audio(self, pooled: Tensor, baselines: Baselines | None = None) -> Tensor:
        """(B, 2 H) to logits (B, C): by the head for unknown speakers and, as far as a speaker is known, by
        that for known ones.
        """
        logits: Tensor = self.audio_head(pooled)
        if baselines is None or self.adapted_head is None:
            return logits
        return torch.lerp(logits, self.adapted_head(pooled), baselines.known[:, None].to(logits.dtype))

    def _against(self, audio: EncodedModality, baselines: Baselines | None) -> EncodedModality:
        """The audio side's features, judged against the speakers' baselines."""
        if self.config.baseline is None:
            return audio
        mix = self.concatenation
        shifted = (
            audio.features if baselines is None else audio.features - mix.shift(baselines.shifts)[:, None]
        )
        return replace(audio, features=mix.activate(shifted))

    def _finer(self, audio: EncodedModality, spans: Spans) -> dict[str, MaskedSequence]:
        """Phones, syllables, words: granularity -> one vector per span."""
        centres = self.audio_encoder.frame_centres(audio.features.shape[1]).to(audio.features.device)
        frame_mask = audio.mask & audio.present[:, None]
        sequences: dict[str, MaskedSequence] = {}
        for kind, pool in self.span_pools.items():
            if kind in spans:
                inside = frames_inside(spans[kind], centres, frame_mask, self.audio_encoder.step)
                pooled, occupied = pool(audio.features, inside)
            else:
                pooled, occupied = audio.features[:, :1], frame_mask[:, :1] & False
            present = occupied.any(1)
            x = self.audio_projection(pooled) + self.kinds[kind]
            sequences[kind] = MaskedSequence(
                _absent(x, present, self.absent_audio), _with_first(occupied, present)
            )
        return sequences


def _early_fusion(config: EmotionConfig) -> EarlyFusion | ConcatFusion | None:
    if config.fusion == "late":
        return None
    if config.fusion == "concat":
        return ConcatFusion(config.width, len(config.label_names), config.classifier_dropout)
    size = FusionSize(config.width, config.heads, config.feed_forward, config.layers, config.dropout)
    head = _head(2 * config.width * len(config.granularities), config)
    return EarlyFusion(size, config.granularities, head)


def _projection(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inner, outer), nn.LayerNorm(outer))


def _head(inner: int, config: EmotionConfig) -> nn.Module:
    if config.classifier == "linear":
        return nn.Sequential(
            nn.LayerNorm(inner),
            nn.Dropout(config.classifier_dropout),
            nn.Linear(inner, len(config.label_names)),
        )
    return nn.Sequential(
        nn.LayerNorm(inner),
        nn.Dropout(config.classifier_dropout),
        nn.Linear(inner, config.feed_forward),
        nn.GELU(),
        nn.Dropout(config.classifier_dropout),
        nn.Linear(config.feed_forward, len(config.label_names)),
    )


def _with_first(mask: Tensor, present: Tensor) -> Tensor:
    """The mask with only the first position set in absent rows."""
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    # Not torch.where, which ONNX Runtime does not have for booleans.
    return (mask & present[:, None]) | (first & ~present[:, None])


def _absent(features: Tensor, present: Tensor, token: Tensor) -> Tensor:
    return torch.where(present[:, None, None], features, token.to(features.dtype))


# With this module imported, `AutoModel.from_pretrained` reads a checkpoint of ours by its folder or hub name.
AutoConfig.register(EmotionConfig.model_type, EmotionConfig)
AutoModel.register(EmotionConfig, EmotionModel)
