"""DailyDialog (Li et al. 2017): written everyday dialogues, an emotion per turn.

`train/dialogues_train.txt`, a dialogue per line, each turn ended by `__eou__`; beside it
`dialogues_emotion_train.txt`, a number for each turn. Likewise `validation` and `test`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .example import CorpusError, Example
from .files import find_path, read_lines
from .labels import label_of
from .text_corpus import drop_wordless

CORPUS: Final = "dailydialog"

_SPLITS: Final = {"train": "train", "validation": "dev", "test": "test"}
_EMOTIONS: Final = ("no emotion", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
_END_OF_TURN: Final = "__eou__"


def read_dailydialog(root: Path) -> list[Example]:
    """All turns with a word in them. Two speakers take turns; they occur in no other dialogue.

    Raises CorpusError for a missing file, and where a line's emotions do not fit its turns.
    """
    return drop_wordless(example for name in _SPLITS for example in _read_split(root, name))


def _read_split(root: Path, name: str) -> list[Example]:
    texts, emotions = (
        find_path(root, f"dialogues_{name}.txt"),
        find_path(root, f"dialogues_emotion_{name}.txt"),
    )
    if texts is None or emotions is None:
        raise CorpusError(
            f"expected DailyDialog with dialogues_{name}.txt and dialogues_emotion_{name}.txt in it, "
            f"got {root}: unpack the archives inside the corpus's own"
        )
    turns, labels = read_lines(texts, "utf-8-sig"), read_lines(emotions, "utf-8-sig")
    if len(turns) != len(labels):
        raise CorpusError(
            f"expected as many lines in {emotions} as in {texts}, got {len(labels)}, {len(turns)}"
        )
    return [
        example
        for number, (line, emotion) in enumerate(zip(turns, labels, strict=True), start=1)
        for example in _read_dialogue(line, emotion, name, f"{emotions}:{number}", number)
    ]


def _read_dialogue(line: str, emotions: str, name: str, where: str, number: int) -> list[Example]:
    turns = [turn.strip() for turn in line.split(_END_OF_TURN)[:-1]]
    codes = emotions.split()
    if len(turns) != len(codes) or not set(codes) <= set("0123456"):
        raise CorpusError(f"{where}: expected {len(turns)} numbers from 0 to 6, got {emotions!r}")
    dialogue = f"{CORPUS}_{_SPLITS[name]}_{number}"
    return [
        Example(
            corpus=CORPUS,
            key=f"{CORPUS}/{name}:{number}.{turn}",
            emotion=label_of(_EMOTIONS[int(code)], where),
            emotion_orig=_EMOTIONS[int(code)],
            words=words,
            speaker=f"{dialogue}_{'AB'[turn % 2]}",
            dialogue=dialogue,
            split=_SPLITS[name],
        )
        for turn, (words, code) in enumerate(zip(turns, codes, strict=True))
    ]
