"""CREMA-D (Cao et al. 2014): `AudioWAV/1001_DFA_ANG_XX.wav`, actor, sentence, emotion, intensity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .example import Example
from .files import corpus_root, list_files, parse_file_name
from .labels import label_of

CORPUS: Final = "crema-d"

SENTENCES: Final = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
_EMOTIONS: Final = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_BROKEN: Final = frozenset({"1076_MTI_SAD_XX", "1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})
"""Silent, cut short, or with every emotion in one file: so in the release itself."""

# The release has one `1040_ITH_SAD_X`: the intensity is not always two letters.
_NAME: Final = re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(_EMOTIONS)})_(?:LO|MD|HI|XX?)")


def read_crema_d(root: Path) -> list[Example]:
    """All clips but the four that the release has broken; the acted emotion, not the raters' votes.

    Twelve sentences, each in several emotions: the words carry no information. Raises CorpusError for a file
    with another kind of name.
    """
    folder = corpus_root(root, "AudioWAV", "CREMA-D") / "AudioWAV"
    return [_example(path) for path in list_files(folder, "*.wav") if path.stem not in _BROKEN]


def _example(path: Path) -> Example:
    actor, sentence, emotion = parse_file_name(path, _NAME, "1001_DFA_ANG_XX.wav")
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{path.stem}",
        emotion=label_of(_EMOTIONS[emotion], str(path)),
        emotion_orig=_EMOTIONS[emotion],
        path=path,
        words=SENTENCES[sentence],
        speaker=f"{CORPUS}_{actor}",
    )
