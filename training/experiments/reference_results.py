"""Published results to compare with. Only those that could be read at their source, with the source.

The two papers' abstracts state gains; the absolute figures are in their tables alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emostream.models import LABELS


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """wa, ua: in percent; None where the source has none. gain: the values are points over a baseline."""

    system: str
    wa: float | None
    ua: float | None
    source: str
    gain: bool = False


@dataclass(frozen=True, slots=True)
class MissingCorpus:
    """A corpus that the table lacks: the published results on it, and the command that would add our rows."""

    corpus: str
    command: str
    results: tuple[ReferenceResult, ...]


_EMOBOX: Final = "EmoBox, arXiv 2406.07162"

IEMOCAP_4: Final = (
    ReferenceResult(
        "contrastive regularization over its baseline",
        1.44,
        1.53,
        "Qian and Han, arXiv 2211.10885",
        gain=True,
    ),
    ReferenceResult(
        "early and late fusion of all granularities over the best earlier system",
        None,
        1.3,
        "Zhao, Wang and Wang, arXiv 2207.04697",
        gain=True,
    ),
    ReferenceResult(
        "wav2vec 2.0 + BERT, attention and auxiliary tasks", 78.42, 79.71, "Sun, He and Han, arXiv 2302.13661"
    ),
    ReferenceResult(
        "wav2vec 2.0 + BERT, alignment in three granularities", 78.87, 80.24, "Wang et al., arXiv 2412.20821"
    ),
    ReferenceResult("audio only, frozen wav2vec 2.0 base", 57.73, None, _EMOBOX),
    ReferenceResult("audio only, frozen WavLM large", 69.07, None, _EMOBOX),
    ReferenceResult("audio only, frozen Whisper large v3", 72.86, None, _EMOBOX),
)
"""Four classes, 5,531 utterances."""

RAVDESS_8: Final = (
    ReferenceResult("audio only, frozen wav2vec 2.0 base", 55.40, 54.3, _EMOBOX),
    ReferenceResult("audio only, frozen WavLM large", 72.22, 72.0, _EMOBOX),
    ReferenceResult("audio only, frozen Whisper large v3", 75.87, 75.3, _EMOBOX),
    ReferenceResult(
        "logistic regression on mean and deviation of all layers, frozen Whisper tiny.en",
        76.9,
        76.4,
        "measured for this project",
    ),
)
"""Eight classes, EmoBox's six speaker-disjoint folds."""

IEMOCAP_NOT_RUN: Final = MissingCorpus(
    "IEMOCAP, 4 classes",
    "python -m emostream.training table papers --corpus iemocap --data DIR",
    IEMOCAP_4,
)


def reference_results_for(corpus: str, labels: Sequence[str]) -> tuple[ReferenceResult, ...]:
    """Results comparable with a table of this whole corpus with these labels; empty where there are none."""
    if corpus == "iemocap" and set(labels) == set(LABELS):
        return IEMOCAP_4
    return RAVDESS_8 if corpus == "ravdess" and len(labels) == 8 else ()
