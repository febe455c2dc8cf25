"""What a model is made of, what it hears while it learns, and how sound and words are brought together."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emostream.models.config import FusionName, SpanPoolingName

from ..augmentation.settings import AugmentSettings
from ..trainer.settings import Count, Fraction

Depth = Literal["none", "front_end", "all"] | Annotated[int, Meta(ge=0)]
Granularity = Literal["frame", "phone", "syllable", "word"]
TextSource = Literal["recognized", "gold", "none"]


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network: two pretrained encoders and what is new between them; see `EmotionConfig`.

    audio, text: names on the model hub, or folders. audio_frozen, text_frozen: how much of an encoder stays
    as it is: none, front_end, so many of the lower layers as well, or all.
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
    audio_frozen: Depth = "front_end"
    text_frozen: Depth = "none"


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the model hears and reads.

    sound: whether it hears at all. words: what it reads: what the transcriber understood, what was really
        said, or nothing. A paired text takes the words' place.
    trimmed: silent edges are cut off first, as a segmenter does.
    max_seconds: of a training clip; a longer one is cut, elsewhere in every epoch.
    frames: so many frames of a training clip whose features are kept, drawn anew in every epoch, in order; 0:
        all. Quicker, and a little noise that helps; not for granularities that need spans.
    augment: chances of what may happen to a training clip and its words.
    drop_audio, drop_text: chance that a training example goes without, so that the model learns to do so.
    balanced: every (corpus, label) equally often in an epoch, instead of every example once.
    label_smoothing: share of the target that goes to all labels alike.
    cache_features: compute what a wholly frozen encoder says once and keep it; needs `all` frozen.
    views: so many versions of each clip and text are kept then: the first as it is, the others augmented.
    """

    use_audio: bool = True
    text_source: TextSource = "recognized"
    trim_silence: bool = True
    max_seconds: Annotated[float, Meta(ge=0.5)] = 10.0
    frames_per_clip: Annotated[int, Meta(ge=0)] = 0
    augment: AugmentSettings = msgspec.field(default_factory=AugmentSettings)
    drop_audio: Fraction = 0.1
    drop_text: Fraction = 0.1
    balanced: bool = False
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    cache_features: bool = False
    views: Count = 1


class ContrastiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Contrastive regularization: total = (1 - alpha) CE + alpha L_CR. alpha 0 is none of it."""

    objective: Literal["bce", "infonce", "mine"] = "bce"
    alpha: Annotated[float, Meta(ge=0, lt=1)] = 0.0
