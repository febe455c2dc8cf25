"""ESD (Zhou et al. 2021), ten Mandarin and ten English speakers, 350 sentences in five emotions each.

`0011/Angry/0011_000351.wav`, in some copies one folder deeper in `train`, `evaluation` or `test`, and the
words of all of a speaker's clips in `0011/0011.txt`, lines of clip, words and emotion, tab-separated.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .example import Example
from .files import corpus_root, is_hidden, list_files, read_lines
from .labels import label_of

CORPUS: Final = "esd"

_SPLITS: Final = {"train": "train", "evaluation": "dev", "test": "test"}
_LAST_MANDARIN: Final = 10
# Some fifteen lines of the release have a space where a tab belongs.
_LINE: Final = re.compile(r"(\d{4}_\d{6})\s+(.*\S)\s+\S+\s*")


def read_esd(root: Path) -> list[Example]:
    """All clips, the emotion by their folder; words are empty where the speaker's text has none.

    The official splits divide the sentences: every speaker is in all three, so they are not speaker-disjoint.
    Raises CorpusError for an unknown emotion, and for a speaker without a text.
    """
    root = corpus_root(root, "00[012][0-9]", "ESD")
    speakers = [folder for folder in sorted(root.glob("00[012][0-9]")) if folder.is_dir()]
    return [example for folder in speakers for example in _read_speaker(folder)]


def _read_speaker(folder: Path) -> list[Example]:
    language = "zh" if int(folder.name) <= _LAST_MANDARIN else "en"
    words = _words(folder / f"{folder.name}.txt", language)
    emotions = [child for child in sorted(folder.iterdir()) if child.is_dir() and not is_hidden(child)]
    return [
        Example(
            corpus=CORPUS,
            key=f"{CORPUS}/{path.stem}",
            emotion=label_of(emotion.name, str(emotion)),
            emotion_orig=emotion.name.lower(),
            path=path,
            words=words.get(path.stem, ""),
            language=language,
            speaker=f"{CORPUS}_{folder.name}",
            split=_SPLITS.get(path.parent.name, ""),
        )
        for emotion in emotions
        for path in (*list_files(emotion, "*.wav"), *list_files(emotion, "*/*.wav"))
    ]


def _words(path: Path, language: str) -> dict[str, str]:
    """The release mixes UTF-16, UTF-8, Latin-1 and GB 2312 from speaker to speaker."""
    encodings = ("gb18030",) if language == "zh" else ("cp1252", "latin-1")
    found = (_LINE.fullmatch(line) for line in read_lines(path, "utf-8-sig", *encodings))
    return {match[1]: match[2] for match in found if match}
