"""The model card: README.md of a checkpoint folder, written from figures, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emostream.models.config import EmotionConfig

from ..evaluation.crossvalidation import FILE, fold_gains, fold_table
from ..evaluation.evaluate import (
    ALONE,
    Evaluation,
    EvaluationRow,
    conflict_table,
    corruption_table,
    gain_list,
    table,
)
from ..evaluation.predictions import FoldPredictions
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
or neutral. An audio encoder ({audio} million parameters) of wav2vec 2.0's pre-norm layers over a log-mel
spectrogram, and a BERT-architecture text encoder ({text} million), joined by co-attention; separate
audio-only and text-only heads; the three posteriors are combined log-linearly and calibrated by one
temperature per head and per pattern of modalities. The architectures are wav2vec 2.0's and BERT's, the
weights are not theirs: both encoders were trained here.
"""

_FOLDS: Final = """
## Figures to trust

Cross-validation of the recipe, four labels, RAVDESS's {clips} clips of 24 speakers. *six folds*: the
audio-only head trained again without the speakers of each of EmoBox's six folds; with words, early fusion
and calibration as well (first seed only). *stranger*: the audio-only head trained on nEMO alone, eight
speakers of another language, and tested on all of RAVDESS. All on the audio encoder of this folder, which
has never heard any of RAVDESS; on clips whose silent edges are trimmed; their temperature is fitted on
clean clips of validation speakers, that of the shipped head and of what hears words on harmed ones as well.
RAVDESS's own words are two neutral sentences. Rows marked *inflated* pair a clip with an unrelated line of
MELD's test split that has the clip's label: the text gives the answer away, so the figure shows that fusion
works, not how well it does on people.

UA is mean recall per class (chance 0.250) with its 95 % interval by bootstrap over
speakers, WA accuracy; ECE the calibration error in 10 bins of equal mass, *by chance* what a perfectly
calibrated model of the same confidences would show. The judgements themselves are in `{file}`, from which

    python -m emostream.training evaluate --output-dir figures --robustness

computes this table and all that follow.

"""

_TEST: Final = """
## Held-out speakers

The weights of this folder, `split` = test: RAVDESS 01, 11, 20, 21 (112 clips: UA has a deviation of 4
points) and nEMO TP0, WR0; silent edges trimmed. MELD is cross-corpus: nothing of it was trained on.

"""

_AFTER_TEST: Final = """
Rows marked *inflated* are label-matched, as above.
"""

_LIMITS: Final = """
## What it is not for

- **Not for judging a person**: no hiring, schooling, policing, insurance, medicine, lie detection or
  surveillance. In the European Union, emotion recognition at work and in schools is prohibited, medical
  and safety reasons aside.
- It was trained on **actors** (16 English, 6 Polish) who were told what to feel. What people feel when
  nobody directs them is another matter, and a stranger's microphone another still: the row *stranger*
  above is nearer to what to expect than any other.
- No children, hardly any elderly speakers, two languages, studio sound. Other accents and cultures
  untested.
- The words' branch reads English only.
- Four labels: fear, disgust, surprise and calm are forced into one of them.
"""

_ORIGIN: Final = """
## Where it comes from

Recipe: `python -m emostream.training train --config training/runs/{run}.toml --output-dir models/bundled`;
diary in `training/runs/LOG.md`.

1. The audio encoder learned, layer by layer, what the lower layers of Whisper tiny.en's encoder make of the
   same sound: speech of the training speakers of nEMO, and lines read by espeak-ng and Flite.
2. MiniLM's sentence encoder was fine-tuned on the labels of GoEmotions, EmoryNLP (lines that repeat
   MELD's dev or test lines left out) and DailyDialog; the text encoder learned from it, and from the
   labels. MELD was not trained on.
3. On the frozen encoders: the audio-only head, on clips of training speakers with noise, rooms, codecs;
   then early fusion, on the same clips paired with texts of the same label (some neutral, contradicting
   or missing), with transcription errors and contrastive regularization.
4. Late-fusion weights and temperatures were fitted on the validation speakers.

`audio_used.csv` lists every speaker of every stage. No test speaker is in it; a test of the project checks
that.

| source | used for | licence |
|---|---|---|
| RAVDESS (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391) | sound | CC BY-NC-SA 4.0 |
| nEMO (Christop 2024, arXiv 2404.06292) | sound | CC BY-NC-SA 4.0 |
| GoEmotions (Demszky et al. 2020) | text, also read aloud | CC BY 4.0 |
| DailyDialog (Li et al. 2017), RECCON part | text, also read aloud | CC BY-NC-SA 4.0 |
| EmoryNLP (Zahiri & Choi 2018) | text, also read aloud | Apache-2.0 |
| espeak-ng, Flite | synthetic voices | programs under GPL-3.0 and a BSD-like licence |
| Whisper tiny.en (Radford et al. 2022) | teacher | MIT |
| all-MiniLM-L6-v2 | teacher | Apache-2.0 |

The weights are under CC BY-NC-SA 4.0, see LICENSE.md; the program's code is not.
"""


def write_card(
    folder: Path,
    config: EmotionConfig,
    sizes: dict[str, float],
    found: Evaluation,
    results: Sequence[FoldPredictions],
    run: RunSettings,
) -> None:
    """found: of the test split, robustness included. outcomes: of the cross-validation. sizes: millions of
    parameters of `audio` and `text`. run: what was run.
    """
    clips = len({key for one in results for key in one.keys})
    parts = [
        _HEAD.format(audio=f"{sizes['audio']:.1f}", text=f"{sizes['text']:.1f}"),
        _FOLDS.format(file=FILE, clips=clips) + fold_table(results) + "\n\n" + fold_gains(results) + "\n",
        _TEST + table(found.rows) + "\n" + _AFTER_TEST,
        gain_list(found) + "\n",
        "Conflict: the clip's text of its own label is exchanged for one of another.\n",
        conflict_table(found) + "\n",
        *(
            _confusion(row, config.label_names)
            for row in found.rows
            if row.what == ALONE and row.read == "audio"
        ),
        "UA of sound alone under known harm:\n",
        corruption_table(found) + "\n",
        f"{run.note.strip()}\n",
        _calibration(config),
        _LIMITS,
        _ORIGIN.format(run=run.name),
    ]
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _confusion(row: EvaluationRow, labels: Sequence[str]) -> str:
    lines = [
        f"Confusion, {row.corpus}, {row.what}, {row.read} posterior (rows: truth, columns: guess):\n",
        "| | " + " | ".join(labels) + " |",
        "|---" * (len(labels) + 1) + "|",
    ]
    for label, counts in zip(labels, row.metrics.confusion, strict=True):
        lines.append(f"| **{label}** | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines) + "\n"


def _calibration(config: EmotionConfig) -> str:
    temperatures = ", ".join(f"{name} {value:.2f}" for name, value in config.temperatures.items())
    weights = "; ".join(
        f"{pattern}: " + ", ".join(f"{head} {weight:.2f}" for head, weight in shares.items())
        for pattern, shares in config.late_weights.items()
    )
    return f"Temperatures: {temperatures}. Late-fusion weights: {weights}.\n"
