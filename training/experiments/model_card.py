"""The model card of a fitted model: what was trained on what, and what it reached. Never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..evaluation.metrics import ClassificationMetrics
from .environment import commit
from .experiment import Experiment
from .folds import Fold

_CARD: Final = """---
library_name: transformers
pipeline_tag: audio-classification
tags: [speech-emotion-recognition, multimodal]
---
# {name}

Says of an utterance, from its sound and its words, which of these it is: {labels}.
For `emostream live --checkpoint FOLDER` and the other commands of emostream.

{note}
Trained on {corpora}: {train} utterances; {validation} others decided when to stop and fitted the calibration;
{test} others again (`{fold}`) were judged, once. {apart}

| WA | UA | macro-F1 | ECE | NLL | Brier |
|---|---|---|---|---|---|
| {wa:.3f} | {ua:.3f} | {macro_f1:.3f} | {ece_equal_mass:.3f} | {nll:.3f} | {brier:.3f} |

WA is accuracy, UA mean recall per class, chance {chance:.3f}; ECE in ten bins of equal mass. {inflated}
Encoders: {audio}, {text}. Code: {commit}. The weights are under the terms of the corpora and the encoders
that they come from. These are a few people's voices: expect worse figures on a stranger's microphone.

```json
{settings}
```
"""


_APART: Final = "No speaker is in two of the three parts."
_NOT_KNOWN: Final = "**Not every speaker is known**: one may be in two parts, which flatters the figures."


def write_fit_card(
    folder: Path, experiment: Experiment, corpora: Sequence[str], fold: Fold, found: ClassificationMetrics
) -> None:
    """README.md of the checkpoint folder. found: of the fold's test examples."""
    known = all(example.speaker for example in fold.train + fold.validation + fold.test)
    paired = any(example.paired for example in fold.test)
    settings = msgspec.json.format(msgspec.json.encode(experiment), indent=2).decode()
    text = _CARD.format(
        name=experiment.name,
        labels=", ".join(experiment.labels),
        note=f"{experiment.note}\n" if experiment.note else "",
        corpora=", ".join(corpora),
        train=len(fold.train),
        validation=len(fold.validation),
        test=len(fold.test),
        fold=fold.name,
        apart=_APART if known else _NOT_KNOWN,
        chance=1 / len(experiment.labels),
        inflated="**Inflated**: every clip was judged with an unrelated text of its label." if paired else "",
        audio=experiment.model.audio,
        text=experiment.model.text,
        commit=commit(),
        settings=settings,
        **{name: getattr(found, name) for name in ("wa", "ua", "macro_f1", "ece_equal_mass", "nll", "brier")},
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
