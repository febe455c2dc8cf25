"""Configuration of an emotion checkpoint in the form that transformers reads and writes."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, BertConfig, PretrainedConfig, Wav2Vec2Config

from .emotion_fields import FIELD_NAMES, GRANULARITIES, EmotionFields, check_labels
from .labels import LABELS


class EmotionConfig(EmotionFields, PretrainedConfig):
    """Configuration of `EmotionModel`; the encoders' own configurations are nested in it.

    audio_config, text_config: a configuration or its dict with `model_type` (wav2vec2, hubert, wavlm,
    whisper; bert and its relatives). By default facebook/wav2vec2-base and bert-base-uncased in size.

    The other fields are those of `EmotionFields`.
    """

    model_type = "emostream"

    def __init__(
        self,
        *,
        audio_config: PretrainedConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        own = {name: kwargs.pop(name) for name in FIELD_NAMES if name in kwargs}
        names = check_labels(own.get("label_names") or LABELS)
        kwargs.setdefault("id2label", dict(enumerate(names)))
        kwargs.setdefault("label2id", {name: index for index, name in enumerate(names)})
        super().__init__(**kwargs)
        self.audio_config = _nested(audio_config, Wav2Vec2Config)
        self.text_config = _nested(text_config, BertConfig)
        self.set_fields(**own)


def reference_config(**changes: Any) -> EmotionConfig:
    """Full size: facebook/wav2vec2-base and bert-base-uncased, co-attention over all four granularities.

    It builds a model of random weights; `pretrained.assemble` builds one around pretrained encoders.
    """
    sizes: dict[str, Any] = {"width": 256, "feed_forward": 1024, "granularities": GRANULARITIES}
    return EmotionConfig(**(sizes | changes))


def _nested(
    value: PretrainedConfig | dict[str, Any] | None, default: type[PretrainedConfig]
) -> PretrainedConfig:
    if value is None:
        return default()
    if isinstance(value, dict):
        fields = dict(value)
        return AutoConfig.for_model(fields.pop("model_type", default.model_type), **fields)
    return value
