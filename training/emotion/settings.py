"""Settings of the network, of its training data and of contrastive regularization."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emostream.models.emotion_fields import FusionName, SpanPoolingName

from ..augmentation.settings import AugmentSettings
from ..losses.discriminator import DiscriminatorName
from ..trainer.settings import Count, Fraction

FreezeDepth = Literal["none", "front_end", "all"] | Annotated[int, Meta(ge=0)]
Granularity = Literal["frame", "phone", "syllable", "word"]
TextSource = Literal["recognized", "gold", "none"]


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network: two pretrained encoders and the new layers between them; see `EmotionConfig`.

    audio, text: names on the model hub, or folders. audio_frozen, text_frozen: how much of an encoder is
    frozen: none, front_end, front_end and so many of the lower layers, or all.
    lora_rank: of adapters that are trained in place of the encoders' other weights, and merged into them in
        the checkpoint; 0: none. lora_alpha: their product's factor, times the rank.
    """

    audio: str = "facebook/wav2vec2-base"
    text: str = "bert-base-uncased"
    width: Count = 256
    heads: Count = 4
    feed_forward: Count = 1024
    layers: Count = 2
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    audio_mix: Literal["sum", "concat"] = "sum"
    audio_mix_layers: tuple[int, ...] | None = None
    audio_mix_width: Count = 256
    pooling_heads: Count = 1
    classifier: Literal["mlp", "linear"] = "mlp"
    classifier_dropout: Annotated[float, Meta(ge=0, lt=1)] | None = None
    granularities: tuple[Granularity, ...] = ("frame",)
    span_pooling: SpanPoolingName = "mean"
    fusion: FusionName = "both"
    audio_frozen: FreezeDepth = "front_end"
    text_frozen: FreezeDepth = "none"
    lora_rank: Annotated[int, Meta(ge=0)] = 0
    lora_alpha: Count = 16


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The model's inputs, their augmentation and their sampling.

    use_audio: false for a text-only model. text_source: the recognizer's transcript, the corpus's own (gold),
        or none. The paired text of an example replaces either.
    trim_silence: cut off silent edges first, as a segmenter does.
    max_seconds: of a training clip; a longer one is cropped at a random position in every epoch, its text
        to the words that are said there.
    max_evaluation_seconds: of a clip that is evaluated; a longer one is cut at its end, its text too.
    frames_per_clip: how many frames of a training clip to use where features are cached, drawn anew in every
        epoch, in order; 0: all. Faster, and slightly regularizing; not for granularities that need spans.
    augment: probabilities of the augmentations of audio and text.
    drop_audio, drop_text: probability that a training example loses the modality (modality dropout).
    balanced: every (corpus, label) equally often in an epoch, instead of every example once.
    label_smoothing: share of the target that is spread evenly over all labels.
    cache_features: compute the outputs of fully frozen encoders once and cache them; needs `all` frozen.
    views: versions of each clip and text to cache then: the first unchanged, the others augmented.
    """

    use_audio: bool = True
    text_source: TextSource = "recognized"
    trim_silence: bool = True
    max_seconds: Annotated[float, Meta(ge=0.5)] = 10.0
    max_evaluation_seconds: Annotated[float, Meta(ge=0.5)] = 40.0
    frames_per_clip: Annotated[int, Meta(ge=0)] = 0
    augment: AugmentSettings = msgspec.field(default_factory=AugmentSettings)
    drop_audio: Fraction = 0.1
    drop_text: Fraction = 0.1
    balanced: bool = False
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    cache_features: bool = False
    views: Count = 1


class ContrastiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Contrastive regularization: total = (1 - alpha) CE + alpha L_CR. alpha 0 switches it off.

    discriminator: scores an audio and a text code by the cosine of what two small networks make of them, or
    by an `mlp` over both, which costs the square of the batch.
    """

    objective: Literal["bce", "infonce", "mine"] = "bce"
    discriminator: DiscriminatorName = "cosine"
    alpha: Annotated[float, Meta(ge=0, lt=1)] = 0.0
