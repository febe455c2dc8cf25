"""The model card of a fitted model: its training data and its metrics. Generated, never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..evaluation.metrics import ClassificationMetrics
from ..model_card_file import write_model_card
from .environment import commit
from .experiment import Experiment
from .folds import Fold

_TAGS: Final = ("speech-emotion-recognition", "multimodal")
_BODY: Final = """# {name}

Classifies an utterance, from its audio and its words, as one of: {labels}.
For `emostream live --checkpoint FOLDER` and the other commands of emostream.

{note}
Trained on {corpora}: {train} utterances; {validation} others for early stopping and calibration; {test}
others (`{fold}`) for testing, once. {speakers}

| WA | UA | macro-F1 | ECE | NLL | Brier |
|---|---|---|---|---|---|
| {wa:.3f} | {ua:.3f} | {macro_f1:.3f} | {ece_equal_mass:.3f} | {nll:.3f} | {brier:.3f} |

WA is accuracy, UA mean recall per class, chance {chance:.3f}; ECE in ten bins of equal mass. {inflated}
Encoders: {audio}, {text}. Code: {commit}. The weights are under the terms of the corpora and the encoders
that they come from. The corpora have few speakers: expect worse results for new speakers and microphones.

```json
{settings}
```
"""

_DISJOINT: Final = "No speaker is in two of the three parts."
_UNKNOWN: Final = "**Not every speaker is known**: one may be in two parts, which inflates the metrics."
_INFLATED: Final = "**Inflated**: every clip was tested with an unrelated text of its label."
_METRICS: Final = ("wa", "ua", "macro_f1", "ece_equal_mass", "nll", "brier")


def write_fit_card(
    folder: Path,
    experiment: Experiment,
    corpora: Sequence[str],
    fold: Fold,
    test_metrics: ClassificationMetrics,
) -> None:
    """Writes README.md of the checkpoint folder. test_metrics: of the fold's test examples."""
    known = all(example.speaker for example in fold.train + fold.validation + fold.test)
    paired = any(example.paired for example in fold.test)
    body = _BODY.format(
        name=experiment.name,
        labels=", ".join(experiment.labels),
        note=f"{experiment.note}\n" if experiment.note else "",
        corpora=", ".join(corpora),
        train=len(fold.train),
        validation=len(fold.validation),
        test=len(fold.test),
        fold=fold.name,
        speakers=_DISJOINT if known else _UNKNOWN,
        chance=1 / len(experiment.labels),
        inflated=_INFLATED if paired else "",
        audio=experiment.model.audio,
        text=experiment.model.text,
        commit=commit(),
        settings=msgspec.json.format(msgspec.json.encode(experiment), indent=2).decode(),
        **{name: getattr(test_metrics, name) for name in _METRICS},
    )
    write_model_card(folder, body, _TAGS)
