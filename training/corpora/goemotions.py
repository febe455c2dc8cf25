"""GoEmotions (Demszky et al. 2020): Reddit comments in 27 emotions and neutral, several to a comment.

`train.tsv`, `dev.tsv` and `test.tsv`, lines of text, numbers of emotions and comment, tab-separated, and
`emotions.txt`, the names of the numbers from 0 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .example import OTHER, CorpusError, Example
from .files import find_path, read_lines
from .text_corpus import drop_wordless

CORPUS: Final = "goemotions"

_FOUR: Final = {
    "angry": ("anger", "annoyance"),
    "happy": ("amusement", "excitement", "joy"),
    "sad": ("disappointment", "grief", "remorse", "sadness"),
    "neutral": ("neutral",),
}
_LABELS: Final = {name: label for label, names in _FOUR.items() for name in names}


def read_goemotions(root: Path) -> list[Example]:
    """All comments with a word in them, as they were posted: no speaker, no dialogue.

    emotion_orig: the names, joined by `|`. A comment has one of the four labels if all its emotions belong to
    it, otherwise `other`. Raises CorpusError for a missing file and a damaged line.
    """
    found = find_path(root, "emotions.txt")  # in the authors' repository `goemotions/data/emotions.txt`
    if found is None:
        raise CorpusError(
            f"expected GoEmotions with emotions.txt in it, got {root}: give the folder of the three splits"
        )
    names = [line for line in read_lines(found, "utf-8-sig") if line]
    splits = (found.with_name(f"{split}.tsv") for split in ("train", "dev", "test"))
    return drop_wordless(example for path in splits for example in _read_split(path, names))


def _read_split(path: Path, names: Sequence[str]) -> list[Example]:
    lines = enumerate(read_lines(path, "utf-8-sig"), start=1)
    return [_example(line, number, path, names) for number, line in lines if line]


def _example(line: str, number: int, path: Path, names: Sequence[str]) -> Example:
    text, _, rest = line.partition("\t")
    numbers, _, _ = rest.partition("\t")
    try:
        emotions = [names[int(index)] for index in numbers.split(",")]
    except (ValueError, IndexError) as error:
        raise CorpusError(
            f"{path}:{number}: expected text, numbers of emotions.txt and comment, by tabs, got {line!r}: "
            "get the file from the corpus again"
        ) from error
    labels = {_LABELS.get(emotion, OTHER) for emotion in emotions}
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{path.stem}:{number}",
        emotion=labels.pop() if len(labels) == 1 else OTHER,
        emotion_orig="|".join(emotions),
        words=text.strip(),
        split=path.stem,
    )
