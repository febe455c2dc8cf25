"""The model card of models/bundled: its metrics, limits and origin. Generated, never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emostream.models.config import EmotionConfig

from ..evaluation.crossvalidation import FILE, crossvalidation_gains, crossvalidation_table
from ..evaluation.evaluate import AUDIO_ONLY, Evaluation, EvaluationRow
from ..evaluation.evaluation_report import conflict_table, corruption_table, evaluation_table, gain_list
from ..evaluation.predictions import FoldPredictions
from ..model_card_file import write_model_card
from .settings import RunSettings

_TAGS: Final = ("speech-emotion-recognition", "wav2vec2", "bert", "multimodal")
_HEAD: Final = """# emostream, the bundled emotion model

Classifies one utterance, from its audio and, if available, its words, as angry, happy, sad or
neutral. An audio encoder ({audio} million parameters) of wav2vec 2.0's pre-norm layers over a log-mel
spectrogram, and a BERT-architecture text encoder ({text} million), joined by co-attention; separate
audio-only and text-only heads; the three posteriors are combined log-linearly and calibrated by one
temperature per head and per pattern of modalities. The architectures are those of wav2vec 2.0 and BERT;
both encoders were trained for this project.
"""

_FOLDS: Final = """
## Cross-validation

Four labels, RAVDESS's {clips} clips of 24 speakers. *six folds*: the
audio-only head trained again without the speakers of each of EmoBox's six folds; with words, early fusion
and calibration as well (first seed only). *cross-corpus*: the audio-only head trained on nEMO only, eight
speakers of another language, and tested on all of RAVDESS. All on the audio encoder of this folder, which
was not trained on RAVDESS; on clips whose silent edges are trimmed; their temperature is fitted on
clean clips of validation speakers, that of the bundled head and of fusion on corrupted ones as well.
The sentences of RAVDESS are two neutral ones. Rows marked *inflated* pair a clip with an unrelated line of
MELD's test split that has the clip's label: the text reveals the label, so the figure shows that fusion
works, not how well it works on real speech.

UA is mean recall per class (chance 0.250) with its 95 % interval by bootstrap over
speakers, WA accuracy; ECE the calibration error in 10 bins of equal mass, *ECE if calibrated* that of a
perfectly calibrated model with the same confidences. The predictions are in `{file}`, from which

    python -m emostream.training evaluate --output-dir figures --robustness

computes this table and all that follow.

"""

_TEST: Final = """
## Held-out speakers

The weights of this folder, `split` = test: RAVDESS 01, 11, 20, 21 (112 clips: UA has a standard deviation of
4 points) and nEMO TP0, WR0; silent edges trimmed. MELD is cross-corpus: none of it was trained on.

"""

_AFTER_TEST: Final = """
Rows marked *inflated* are label-matched, as above.
"""

_LIMITS: Final = """
## What it is not for

- **Not for assessing a person**: no hiring, schooling, policing, insurance, medicine, lie detection or
  surveillance. In the European Union, emotion recognition at work and in schools is prohibited, medical
  and safety reasons aside.
- It was trained on **actors** (16 English, 6 Polish) who portrayed given emotions. Spontaneous emotion
  differs, and so do other microphones: of all rows above, *cross-corpus* is the best estimate for such audio.
- No children, hardly any elderly speakers, two languages, studio recordings. Other accents and cultures
  untested.
- The text branch supports English only.
- Four labels: fear, disgust, surprise and calm are classified as one of them.
"""

_ORIGIN: Final = """
## Training

Recipe: `python -m emostream.training train --config training/runs/{run}.toml --output-dir models/bundled`;
log of the runs in `training/runs/LOG.md`.

1. The audio encoder was distilled, layer by layer, from the lower layers of Whisper tiny.en's encoder on the
   same audio: speech of the training speakers of nEMO, and lines read by espeak-ng and Flite.
2. MiniLM's sentence encoder was fine-tuned on the labels of GoEmotions, EmoryNLP (lines that repeat
   MELD's dev or test lines left out) and DailyDialog; the text encoder learned from it, and from the
   labels. MELD was not trained on.
3. On the frozen encoders: the audio-only head, on clips of training speakers with noise, reverberation,
   codecs; then early fusion, on the same clips paired with texts of the same label (some neutral,
   contradicting or missing), with transcription errors and contrastive regularization.
4. Late-fusion weights and temperatures were fitted on the validation speakers.

`audio_used.csv` lists every speaker of every stage. No test speaker is in it; a test of the project checks
this.

| source | used for | licence |
|---|---|---|
| RAVDESS (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391) | audio | CC BY-NC-SA 4.0 |
| nEMO (Christop 2024, arXiv 2404.06292) | audio | CC BY-NC-SA 4.0 |
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
    evaluation: Evaluation,
    results: Sequence[FoldPredictions],
    run: RunSettings,
) -> None:
    """Writes README.md of the checkpoint folder.

    evaluation: of the test split, robustness included. results: of the cross-validation. sizes: millions of
    parameters of `audio` and `text`. run: settings of the run.
    """
    clips = len({key for fold in results for key in fold.keys})
    crossvalidation = f"{crossvalidation_table(results)}\n\n{crossvalidation_gains(results)}\n"
    parts = [
        _HEAD.format(audio=f"{sizes['audio']:.1f}", text=f"{sizes['text']:.1f}"),
        _FOLDS.format(file=FILE, clips=clips) + crossvalidation,
        _TEST + evaluation_table(evaluation.rows) + "\n" + _AFTER_TEST,
        gain_list(evaluation) + "\n",
        "Conflict: the clip's text of its own label is replaced by one of another label.\n",
        conflict_table(evaluation) + "\n",
        *(
            _confusion(row, config.label_names)
            for row in evaluation.rows
            if row.input == AUDIO_ONLY and row.posterior == "audio"
        ),
        "UA of audio only under known corruptions:\n",
        corruption_table(evaluation) + "\n",
        f"{run.note.strip()}\n",
        _calibration(config),
        _LIMITS,
        _ORIGIN.format(run=run.name),
    ]
    write_model_card(folder, "\n".join(parts), _TAGS, licence="cc-by-nc-sa-4.0", language="en")


def _confusion(row: EvaluationRow, labels: Sequence[str]) -> str:
    lines = [
        f"Confusion, {row.corpus}, {row.input}, {row.posterior} posterior "
        "(rows: truth, columns: predicted):\n",
        "| | " + " | ".join(labels) + " |",
        "|---" * (len(labels) + 1) + "|",
    ]
    for label, counts in zip(labels, row.metrics.confusion, strict=True):
        lines.append(f"| **{label}** | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines) + "\n"


def _calibration(config: EmotionConfig) -> str:
    temperatures = ", ".join(f"{name} {value:.2f}" for name, value in config.temperatures.items())
    weights = "; ".join(
        f"{pattern}: " + ", ".join(f"{head} {weight:.2f}" for head, weight in weights_of_heads.items())
        for pattern, weights_of_heads in config.late_weights.items()
    )
    return f"Temperatures: {temperatures}. Late-fusion weights: {weights}.\n"
