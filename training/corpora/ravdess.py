"""RAVDESS (Livingstone, Russo 2018), its speech: `Actor_12/03-01-06-01-02-01-12.wav`.

The name encodes modality (03 is audio only), vocal channel (01 is speech), emotion, intensity, statement,
repetition and actor.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .example import Example
from .files import corpus_root, list_files, parse_file_name
from .labels import label_of

CORPUS: Final = "ravdess"

STATEMENTS: Final = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
_EMOTIONS: Final = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}

_FOLDS: Final = {
    "1": "01 11 20 21",
    "2": "04 10 12 14",
    "3": "08 09 19 23",
    "4": "03 05 07 24",
    "5": "02 15 16 18",
    "6": "06 13 17 22",
}
FOLD_OF_ACTOR: Final = {actor: fold for fold, actors in _FOLDS.items() for actor in actors.split()}
"""EmoBox's six folds, each four actors (Ma et al. 2024)."""

_COPIES: Final = frozenset({"03-01-03-01-02-02-07"})
"""Byte for byte another clip of the release, `03-01-03-01-02-01-07`."""

_NAME: Final = re.compile(r"03-01-(0[1-8])-0[12]-(0[12])-0[12]-(0[1-9]|1\d|2[0-4])")
_SONG: Final = re.compile(r"03-02-.*")


def read_ravdess(root: Path) -> list[Example]:
    """All clips of speech, songs left out; `group` is the fold.

    root: the folder with the `Actor_..` folders, or its parent. Raises CorpusError for a file with
    another kind of name.
    """
    root = corpus_root(root, "Actor_*", "RAVDESS")
    paths = (path for path in list_files(root, "Actor_*/*.wav") if not _SONG.fullmatch(path.stem))
    return [_example(path) for path in paths if path.stem not in _COPIES]


def _example(path: Path) -> Example:
    emotion, statement, actor = parse_file_name(path, _NAME, "03-01-06-01-02-01-12.wav")
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{path.stem}",
        emotion=label_of(_EMOTIONS[emotion], str(path)),
        emotion_orig=_EMOTIONS[emotion],
        path=path,
        words=STATEMENTS[statement],
        speaker=f"{CORPUS}_{actor}",
        group=FOLD_OF_ACTOR[actor],
    )
