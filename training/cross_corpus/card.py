"""The model cards of both bundled models: figures, limits, origin. Generated, never written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..model_card_file import write_model_card
from .doubts import doubts_table
from .settings import CrossCorpusSettings
from .unseen import UnseenReport, choice_table, unseen_table

_TAGS: Final = ("speech-emotion-recognition", "bert", "multimodal")
_SHARED: Final = """# emostream, the bundled emotion model on Whisper's encoder

Classifies one utterance, from its audio and (where there are any) its words, as angry, happy, sad or
neutral. It needs Whisper {name} (SHA-256 of `model.bin` {sha}), which is not part of this folder: it
reads layers {layers} of its encoder, as they are, and holds what comes after them: a projection,
attentive pooling and an audio-only head; a BERT-architecture text encoder with a text-only head;
co-attention; late fusion and calibration."""
_OWN: Final = """# emostream, the bundled emotion model

Classifies one utterance, from its audio and (where there are any) its words, as angry, happy, sad or
neutral. An audio encoder of wav2vec 2.0's pre-norm layers over a log-mel spectrogram ({audio:.1f} million
parameters), whose layers {layers} a projection, attentive pooling and an audio-only head read; a
BERT-architecture text encoder ({text:.1f} million) with a text-only head; co-attention; late fusion and
calibration. It needs nothing beside this folder."""
_BASELINE: Final = """

A speaker's **baseline**, the mean of the speaker's utterances so far, is subtracted from the states
before the projection. No labels are needed; before the first utterance it is the mean of the training
data. What it is worth: the columns *without a baseline* below."""
_UNSEEN: Final = """
## Held-out people, rooms and languages

The same recipe without one corpus, judged on that corpus: no speaker of it in any stage. *cold*: each
clip for itself. The other conditions are simulated streams of 40 utterances of one speaker with the
share of neutral or of one emotion that they are named for, scored from the 6th on, each utterance judged
against the running mean of those before it. UA is mean recall per class (chance 0.250), with its 95 %
interval by bootstrap over speakers. Sound alone, silent edges trimmed.

"""
_DOUBTS: Final = """
## Doubts

`reliable` is false where the error predictor gives more than {threshold:.2f} for the label to be wrong.
It was fitted on the predictions for corpora left out; for this table, predictor and threshold come from
the other corpora alone. *risk*: share of errors of all predictions, then of the most trusted half, three
quarters, nine tenths. *gap closed*: of the area between a random and a perfect order under the
risk-coverage curve.

"""
_CHOICE: Final = """
## What was chosen

The offset that is taken from the log odds of neutral and the settings of the baseline were chosen on corpora
left out, for the tables above on those other than the one a figure is for. The table: UA / accuracy that a
baseline gains in each kind of stream, means of the corpora left out, scored on part of the streams.

"""
_LIMITS: Final = """
## Limits

- Acted speech has taught it what emotions sound like; a call centre or a living room sounds otherwise. The
  table shows how far acting in another room and language is from what was trained on.
- Four labels: fear, disgust, surprise and calm are called one of them.
- Words are used only where they are English. No corpus here has emotional sound and emotional words together:
  fusion was trained on clips paired with texts of the same label, which inflates every figure of it.
- It is no instrument for decisions about people: not for hiring, teaching, policing, medicine or credit.

## Training data

| material | for | licence |
|---|---|---|
| RAVDESS (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391) | audio | CC BY-NC-SA 4.0 |
| nEMO (Christop 2024, arXiv 2404.06292) | audio | CC BY-NC-SA 4.0 |
| CREMA-D (Cao et al. 2014, doi 10.1109/TAFFC.2014.2336244) | audio | ODbL 1.0, contents DbCL 1.0 |
| BanglaSER (Das et al. 2022, doi 10.1016/j.dib.2022.108091) | audio | CC BY 4.0 |
| AESDD (Vryzas et al. 2018) | audio | CC BY 4.0 |
| LibriSpeech (Panayotov et al. 2015) | audio, as ordinary speech | CC BY 4.0 |
| ESC-10 (Piczak 2015) | noise | CC BY |
| GoEmotions (Demszky et al. 2020) | text | CC BY 4.0 |
| DailyDialog (Li et al. 2017), RECCON part | text | CC BY-NC-SA 4.0 |
| EmoryNLP (Zahiri & Choi 2018) | text | Apache-2.0 |
{encoder}

`audio_used.csv` lists every speaker, split and stage. The weights are under CC BY-NC-SA 4.0, see
LICENSE.md; the program's code is not."""
_SHARED_SOURCES: Final = "| Whisper (Radford et al. 2022) | its encoder, not in this folder | MIT |"
_OWN_SOURCES: Final = """\
| Whisper tiny.en (Radford et al. 2022) | teacher of the audio encoder, on nEMO and read texts | MIT |
| espeak-ng, Flite | voices that read those texts | programs under GPL-3.0 and a BSD-like licence |
| all-MiniLM-L6-v2 | teacher of the text encoder | Apache-2.0 |

The audio encoder has heard nEMO, without its labels: the row of nEMO above is of an encoder that knows its
voices. It has heard none of the other corpora."""


def write_card(
    folder: Path,
    model: EmotionModel,
    report: UnseenReport,
    settings: CrossCorpusSettings,
) -> None:
    """Writes README.md of the checkpoint folder."""
    config = model.config
    shared = config.shared_encoder is not None
    body = "\n".join(
        [
            _head(model, settings) + _BASELINE,
            _UNSEEN + unseen_table(report.rows),
            _DOUBTS.format(threshold=_threshold(config)) + doubts_table(report.doubts),
            f"\n{settings.note.strip()}",
            _CHOICE + choice_table(report),
            _calibration(config),
            _LIMITS.format(encoder=_SHARED_SOURCES if shared else _OWN_SOURCES),
        ]
    )
    tags = (*_TAGS, "whisper" if shared else "wav2vec2")
    write_model_card(folder, body, tags, licence="cc-by-nc-sa-4.0", language="en")


def _head(model: EmotionModel, settings: CrossCorpusSettings) -> str:
    layers = ", ".join(map(str, settings.encoder.layers))
    if shared := model.config.shared_encoder:
        return _SHARED.format(name=shared["name"], sha=shared["sha256"], layers=layers)
    parts = {"audio": model.audio_encoder, "text": model.text_encoder}
    millions = {name: sum(w.numel() for w in part.parameters()) / 1e6 for name, part in parts.items()}
    return _OWN.format(layers=layers, **millions)


def _threshold(config: EmotionConfig) -> float:
    """Of the checkpoint's error predictor; nothing is doubted without one."""
    return float((config.error_predictor or {}).get("threshold", 1.0))


def _calibration(config: EmotionConfig) -> str:
    temperatures = ", ".join(f"{name} {value:.2f}" for name, value in config.temperatures.items())
    weights = "; ".join(
        f"{pattern}: " + ", ".join(f"{head} {weight:.2f}" for head, weight in of_heads.items())
        for pattern, of_heads in config.late_weights.items()
    )
    return f"\nTemperatures: {temperatures}. Late-fusion weights: {weights}.\n"
