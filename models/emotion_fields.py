"""What a checkpoint's `config.json` says of an emotion model, apart from its encoders: sizes, labels,
calibration, thresholds. Validated; imports no framework.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from inspect import signature
from typing import Any, Final, Literal, TypeVar

from .baseline import BaselineSettings
from .encoders.identity import SharedEncoder
from .labels import LABELS
from .languages import primary_subtag
from .reliability import ErrorPredictor

HEADS_BY_PATTERN: Final[dict[str, tuple[str, ...]]] = {
    "both": ("early", "audio", "text"),
    "audio": ("early", "audio"),
    "text": ("early", "text"),
}
"""Modality pattern -> the heads that have input under it, which late fusion combines."""

GRANULARITIES: Final = ("frame", "phone", "syllable", "word")
"""Fine to coarse: the order of the streams, regardless of the order in a configuration."""

FusionName = Literal["early", "late", "both", "concat"]
SpanPoolingName = Literal["mean", "attentive"]
AudioMixName = Literal["sum", "concat"]
ClassifierName = Literal["mlp", "linear"]
Name = TypeVar("Name", FusionName, SpanPoolingName, AudioMixName, ClassifierName)


class EmotionFields:
    """The fields of `config.EmotionConfig` that this program validates and reads.

    audio_unit_variance: whether the audio encoder was trained on clips of zero mean and unit variance.
    shared_encoder: {"architecture": "whisper", "name", "sha256"} of a model whose encoder this one uses, and
    whose weights the checkpoint therefore does not hold; None: it holds its own. See `encoders.identity`.
    width, layers, heads, feed_forward: of the co-attention. label_names: in the order of every output.
    max_tokens: transcripts are truncated to it, [CLS] and [SEP] included.
    text_languages: primary BCP 47 subtags of the languages that the text branch was trained on (the trainer
        uses English words only); words in another one are not classified. Empty: any language.
    audio_mix: of the audio encoder's layers: `sum`, a learned weighted sum, or `concat`: audio_mix_layers
    (None: all; 0 is the input of the first), standardised and projected to audio_mix_width.
    pooling_heads: attentions of the single-modality heads' pooling. classifier: of every head, `mlp` or
    `linear`. classifier_dropout: inside it, None: as `dropout`.
    granularities: any of GRANULARITIES, each a stream of early fusion; all but `frame` need an alignment.
    span_pooling: of the frames inside a span, `mean` or `attentive`.
    fusion: `early` (co-attention alone decides), `late` (the two single-modality heads, no co-attention),
    `both` (late fusion of all three) or `concat` (no co-attention: the two sides' means, concatenated and
    classified, alone decide). The fused head is named `early` in either case.
    temperatures: {"audio", "text", "fused_both", "fused_audio", "fused_text"} -> divisor of the log
    posterior. late_weights: pattern -> {head: weight}, learned on validation speakers.
    audio_level: root mean square that a clip is brought to before Whisper's encoder; None: it stays as it is.
    baseline: how a speaker's baseline is formed, the fields of `baseline.BaselineSettings`; None: the model
    takes none. It needs audio_mix concat.
    error_predictor: the fields of `reliability.ErrorPredictor`; None: the thresholds below decide.
    text_prior: the label prior that the text-only head has learned, in the order of label_names; divided out
    of its posterior where there is audio as well. None: uniform.

    Thresholds of the `uncertain` reasons:
    too_short_s: the shortest training clip lasts 0.87 s with its margins of silence, about 0.4 s without;
        below half a second the model extrapolates.
    low_snr_db: measured with `uncertainty.estimate_snr_db` on 200 validation clips. White noise 5 dB below
        the clip's mean power reads 9 to 13 (median 11), 10 dB below 14 to 18; clean studio clips read above
        23.
    disagree_p: both single-modality winners must hold at least this, half of the mass.
    low_confidence_p: below it the top label is closer to a coin toss between two labels than to a decision.
    """

    def set_fields(
        self,
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        feed_forward: int = 128,
        dropout: float = 0.1,
        max_tokens: int = 96,
        text_languages: Sequence[str] = ("en",),
        audio_mix: AudioMixName = "sum",
        audio_mix_layers: Sequence[int] | None = None,
        audio_mix_width: int = 256,
        pooling_heads: int = 1,
        classifier: ClassifierName = "mlp",
        classifier_dropout: float | None = None,
        granularities: Sequence[str] = ("frame",),
        span_pooling: SpanPoolingName = "mean",
        fusion: FusionName = "both",
        audio_unit_variance: bool = True,
        shared_encoder: dict[str, str] | None = None,
        label_names: list[str] | None = None,
        temperatures: dict[str, float] | None = None,
        late_weights: dict[str, dict[str, float]] | None = None,
        text_prior: Sequence[float] | None = None,
        audio_level: float | None = None,
        baseline: dict[str, Any] | None = None,
        error_predictor: dict[str, Any] | None = None,
        too_short_s: float = 0.5,
        low_snr_db: float = 12.0,
        disagree_p: float = 0.5,
        low_confidence_p: float = 0.45,
    ) -> None:
        """Raises ValueError for a value that is out of range or does not go with another one."""
        names = check_labels(label_names or LABELS)
        self.width = _number("width", width, 1, whole=True)
        self.layers = layers
        self.heads = _number("heads", heads, 1, whole=True)
        if width % heads:
            raise ValueError(f"expected heads that divide the width {width}, got {heads}")
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.max_tokens = _number("max_tokens", max_tokens, 3, whole=True)
        self.text_languages = _languages(text_languages)
        self.audio_mix = _one_of("audio_mix", audio_mix, ("sum", "concat"))
        self.audio_mix_layers = _mix_layers(audio_mix_layers, audio_mix)
        self.audio_mix_width = _number("audio_mix_width", audio_mix_width, 1, whole=True)
        self.pooling_heads = _number("pooling_heads", pooling_heads, 1, whole=True)
        self.classifier = _one_of("classifier", classifier, ("mlp", "linear"))
        self.classifier_dropout = dropout if classifier_dropout is None else classifier_dropout
        self.granularities = _ordered(granularities)
        self.span_pooling = _one_of("span_pooling", span_pooling, ("mean", "attentive"))
        self.fusion = _one_of("fusion", fusion, ("early", "late", "both", "concat"))
        self.audio_unit_variance = bool(_number("audio_unit_variance", audio_unit_variance, 0, 1))
        self.shared_encoder = (
            None if shared_encoder is None else SharedEncoder.from_fields(shared_encoder).fields()
        )
        self.label_names = names
        self.temperatures = _unit_temperatures() | _temperatures(temperatures or {})
        self.late_weights = self._weights(late_weights) if late_weights else self._even_weights()
        self.text_prior = _prior(text_prior, len(names))
        self.audio_level = None if audio_level is None else _number("audio_level", audio_level, 1e-4, 1)
        self.baseline = None if baseline is None else BaselineSettings.from_fields(baseline).fields()
        if baseline is not None and audio_mix != "concat":
            raise ValueError(
                f"expected audio_mix concat with a baseline, got {audio_mix}: change one of them"
            )
        self.error_predictor = (
            None if error_predictor is None else ErrorPredictor.from_fields(error_predictor).fields()
        )
        self.too_short_s = _number("too_short_s", too_short_s, 0)
        self.low_snr_db = _number("low_snr_db", low_snr_db)
        self.disagree_p = _number("disagree_p", disagree_p, 0, 1)
        self.low_confidence_p = _number("low_confidence_p", low_confidence_p, 0, 1)

    @property
    def spans(self) -> tuple[str, ...]:
        """The granularities that need an alignment: none where there is no co-attention."""
        if self.fusion in ("late", "concat"):
            return ()
        return tuple(name for name in self.granularities if name != "frame")

    def fused_heads(self, pattern: str) -> tuple[str, ...]:
        """The heads that the fused posterior of a pattern (both, audio, text) combines."""
        allowed = {
            "early": ("early",),
            "concat": ("early",),
            "late": ("audio", "text"),
            "both": HEADS_BY_PATTERN["both"],
        }[self.fusion]
        return tuple(head for head in HEADS_BY_PATTERN[pattern] if head in allowed)

    def _weights(self, given: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for pattern in HEADS_BY_PATTERN:
            heads, weights = self.fused_heads(pattern), given.get(pattern)
            if not isinstance(weights, dict) or set(weights) != set(heads):
                raise ValueError(
                    f"expected late_weights.{pattern} for exactly {', '.join(heads)}, got {weights!r}"
                )
            total = sum(_number(f"late_weights.{pattern}", weight, 0, 1) for weight in weights.values())
            if abs(total - 1.0) > 1e-3:
                raise ValueError(f"expected late_weights.{pattern} to sum to 1, got {total:g}")
        return given

    def _even_weights(self) -> dict[str, dict[str, float]]:
        heads = {pattern: self.fused_heads(pattern) for pattern in HEADS_BY_PATTERN}
        return {pattern: dict.fromkeys(names, 1.0 / len(names)) for pattern, names in heads.items()}


FIELD_NAMES: Final = tuple(name for name in signature(EmotionFields.set_fields).parameters if name != "self")


class PlainConfig(EmotionFields):
    """Of a file, for a model that runs without its framework. audio_config, text_config: as in the file."""

    def __init__(self, fields: dict[str, Any]) -> None:
        """Raises ValueError."""
        self.audio_config: dict[str, Any] = _encoder("audio_config", fields)
        self.text_config: dict[str, Any] = _encoder("text_config", fields)
        self.set_fields(**{name: fields[name] for name in FIELD_NAMES if name in fields})


def _encoder(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    config = fields.get(name)
    if not isinstance(config, dict):
        raise ValueError(f"expected {name} of an encoder, got {config!r}")
    return config


def check_labels(names: Sequence[str]) -> list[str]:
    """Raises ValueError for other than two or more different names."""
    listed = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not listed or len(set(names)) != len(names) or len(names) < 2:
        raise ValueError(f"expected two or more different label_names, got {names!r}")
    return list(names)


def _languages(tags: Sequence[str]) -> list[str]:
    listed = isinstance(tags, (list, tuple)) and all(isinstance(tag, str) for tag in tags)
    if not listed or not all(tag.isalpha() and tag == primary_subtag(tag) for tag in tags):
        raise ValueError(f"expected text_languages like 'en' and 'pl', got {tags!r}")
    return list(tags)


def _mix_layers(layers: Sequence[int] | None, mix: AudioMixName) -> list[int] | None:
    if layers is None:
        return None
    if mix == "sum":
        raise ValueError(
            f"expected no audio_mix_layers with audio_mix sum, got {layers!r}: a sum is of all layers, leave "
            "them out or take concat"
        )
    listed = isinstance(layers, (list, tuple)) and all(type(layer) is int for layer in layers)
    if not listed or len(set(layers)) != len(layers) or min(layers, default=-1) < 0:
        raise ValueError(f"expected audio_mix_layers to be different whole numbers from 0 up, got {layers!r}")
    return list(layers)


def _number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, whole: bool = False
) -> Any:
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or not math.isfinite(value) or not low <= value <= high:
        wanted = "a whole number" if whole else "a number"
        raise ValueError(f"expected {name} to be {wanted} from {low:g} to {high:g}, got {value!r}")
    return value


def _prior(given: Sequence[float] | None, labels: int) -> list[float] | None:
    if given is None:
        return None
    shares = [_number("text_prior", share, 1e-3, 1) for share in given]
    if len(shares) != labels or abs(sum(shares) - 1.0) > 1e-3:
        raise ValueError(f"expected a text_prior of {labels} shares that sum to 1, got {given!r}")
    return shares


def _temperatures(given: dict[str, float]) -> dict[str, float]:
    for name, value in given.items():
        if name not in _unit_temperatures() or not _number(f"temperatures.{name}", value) > 0:
            raise ValueError(
                f"expected temperatures above 0 of {', '.join(_unit_temperatures())}, got {name} {value!r}"
            )
    return given


def _unit_temperatures() -> dict[str, float]:
    return {"audio": 1.0, "text": 1.0, "fused_both": 1.0, "fused_audio": 1.0, "fused_text": 1.0}


def _ordered(granularities: Sequence[str]) -> list[str]:
    named = set(granularities)
    if not named or isinstance(granularities, str) or named - set(GRANULARITIES):
        raise ValueError(
            f"expected one or more granularities out of {', '.join(GRANULARITIES)}, got {granularities!r}"
        )
    return [name for name in GRANULARITIES if name in named]


def _one_of(name: str, value: Name, allowed: tuple[Name, ...]) -> Name:
    if value not in allowed:
        raise ValueError(f"expected {name} to be one of {', '.join(allowed)}, got {value!r}")
    return value
