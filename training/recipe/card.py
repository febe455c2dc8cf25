"""The model card: README.md of a checkpoint folder, written from figures, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emostream.models.config import EmotionConfig

from ..evaluation.checkpoint import ALONE, Row, table
from .settings import RunSettings

_HEAD: Final = """---
license: cc-by-nc-sa-4.0
language: en
library_name: transformers
pipeline_tag: audio-classification
tags: [speech-emotion-recognition, wav2vec2, bert, multimodal]
---
# emostream, the bundled emotion model

Says of one utterance, from its sound and (where there are any) its words, whether it is angry, happy, sad
or neutral. A wav2vec 2.0-architecture audio encoder ({audio} million parameters) and a BERT-architecture
text encoder ({text} million), joined by co-attention; separate audio-only and text-only heads; the three
posteriors are combined log-linearly and calibrated by one temperature per head and per pattern of modalities.
The architectures are wav2vec 2.0's and BERT's, the weights are not theirs: both encoders were trained here.
"""

_BEFORE_FIGURES: Final = """
## Figures

Held-out speakers (`split` = test; RAVDESS 01, 11, 20, 21 and nEMO TP0, WR0), four labels, whole files, from

    python -m emostream.training evaluate --checkpoint models/bundled --split test --out figures

UA is mean recall per class (chance 0.250), WA accuracy, ECE the calibration error.
"""

_AFTER_FIGURES: Final = """
Rows marked *inflated* pair a clip with an unrelated text that has the clip's label: the text gives the answer
away, so the figure shows that fusion works, not how well it does on people. RAVDESS's own words are two
neutral sentences. RAVDESS here is 112 clips of four speakers: its UA has a standard error of about 0.04, and
plain MFCC means with logistic regression reach 0.64, so this is a first model, not a good one.
MELD is cross-corpus: nothing of it was trained on.
"""

_LIMITS: Final = """
## What it is not for

- **Not for judging a person**: no hiring, schooling, policing, insurance, medicine, lie detection or
  surveillance. In the European Union, emotion recognition at work and in schools is prohibited, medical
  and safety reasons aside.
- It was trained on **actors** (16 English, 6 Polish) who were told what to feel. What people feel when nobody
  directs them is another matter, and a stranger's microphone another still: expect worse figures than above.
- No children, hardly any elderly speakers, two languages, studio sound. Other accents and cultures untested.
- The words' branch reads English only.
- Four labels: fear, disgust, surprise and calm are forced into one of them.
"""

_ORIGIN: Final = """
## Where it comes from

Recipe: `python -m emostream.training train --config training/runs/{run}.toml --out models/bundled`; diary in
`training/runs/LOG.md`.

1. The audio encoder learned the frames of Whisper tiny.en's encoder, and the acted emotion, on the training
   speakers of RAVDESS and nEMO.
2. The text encoder learned MiniLM's sentence vectors and the labels of GoEmotions, EmoryNLP (lines that
   repeat MELD's dev or test lines left out) and DailyDialog. MELD was not trained on.
3. Fusion: clips of training speakers paired with texts of the same label (some neutral, contradicting or
   missing), noise, transcription errors, contrastive regularization.
4. Late-fusion weights and temperatures were fitted on the validation speakers.

`audio_used.csv` lists every speaker of every stage. No test speaker is in it; a test of the project checks
that.

| source | used for | licence |
|---|---|---|
| RAVDESS (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391) | sound | CC BY-NC-SA 4.0 |
| nEMO (Christop 2024, arXiv 2404.06292) | sound | CC BY-NC-SA 4.0 |
| GoEmotions (Demszky et al. 2020) | text | CC BY 4.0 |
| DailyDialog (Li et al. 2017), RECCON part | text | CC BY-NC-SA 4.0 |
| EmoryNLP (Zahiri & Choi 2018) | text | Apache-2.0 |
| Whisper tiny.en (Radford et al. 2022) | teacher | MIT |
| all-MiniLM-L6-v2 | teacher | Apache-2.0 |

The weights are under CC BY-NC-SA 4.0, see LICENSE.md; the program's code is not.
"""


def write_card(
    folder: Path, config: EmotionConfig, sizes: dict[str, float], rows: Sequence[Row], run: RunSettings
) -> None:
    """rows: of the test split. sizes: millions of parameters of `audio` and `text`. run: what was run."""
    parts = [
        _HEAD.format(audio=f"{sizes['audio']:.1f}", text=f"{sizes['text']:.1f}"),
        _figures(rows),
        f"{run.note}\n",
        *(_confusion(row, config.label_names) for row in rows if row.what == ALONE and row.read == "audio"),
        _calibration(config),
        _LIMITS,
        _ORIGIN.format(run=run.name),
    ]
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _figures(rows: Sequence[Row]) -> str:
    return f"{_BEFORE_FIGURES}\n{table(rows)}\n{_AFTER_FIGURES}"


def _confusion(row: Row, labels: Sequence[str]) -> str:
    lines = [
        f"Confusion, {row.corpus}, {row.what}, {row.read} posterior (rows: truth, columns: guess):\n",
        "| | " + " | ".join(labels) + " |",
        "|---" * (len(labels) + 1) + "|",
    ]
    for label, counts in zip(labels, row.figures.confusion, strict=True):
        lines.append(f"| **{label}** | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines) + "\n"


def _calibration(config: EmotionConfig) -> str:
    temperatures = ", ".join(f"{name} {value:.2f}" for name, value in config.temperatures.items())
    weights = "; ".join(
        f"{pattern}: " + ", ".join(f"{head} {weight:.2f}" for head, weight in shares.items())
        for pattern, shares in config.late_weights.items()
    )
    return f"Temperatures: {temperatures}. Late-fusion weights: {weights}.\n"
