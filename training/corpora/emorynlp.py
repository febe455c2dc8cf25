"""EmoryNLP (Zahiri, Choi 2018): dialogues of *Friends* as text, in its own JSON or in MELD's CSV edition.

`emotion-detection-trn.json`, `-dev.json`, `-tst.json`: episodes of scenes of utterances. Instead of one,
`emorynlp_train_final.csv`, `emorynlp_dev_final.csv`, `emorynlp_test_final.csv`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .csv_reader import CsvRow, read_table
from .example import CorpusError, Example
from .files import find_path, read_text_file
from .labels import label_of
from .text_corpus import drop_wordless, fix_encoding

CORPUS: Final = "emorynlp"

_JSON: Final = {"train": "trn", "dev": "dev", "test": "tst"}
_COLUMNS: Final = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode")
_UTTERANCE: Final = re.compile(r"s(\d+)_e(\d+)_c(\d+)_u(\d+)")
_SPEAKER: Final = re.compile(r"""['"](.+?)['"](?:, |])""")
"""Of a Python list, as the CSV has it: `['Monica Geller', "Rachel's father"]`."""
_ENCODINGS: Final = ("utf-8-sig", "cp1252")


@dataclass(frozen=True, slots=True)
class _Line:
    """One utterance of either edition. numbers: season, episode, scene, utterance."""

    where: str
    numbers: tuple[int, ...]
    speaker: str
    emotion: str
    words: str


def read_emorynlp(root: Path) -> list[Example]:
    """All lines with a word in them, split by episode; the characters are in all splits.

    Raises CorpusError for a missing or damaged file.
    """
    return drop_wordless(_example(line, split) for split in _JSON for line in _lines(root, split))


def _lines(root: Path, split: str) -> list[_Line]:
    names = (f"emotion-detection-{_JSON[split]}.json", f"emorynlp_{split}_final.csv")
    if path := find_path(root, names[0]):
        return _read_json(path)
    if path := find_path(root, names[1]):
        return _read_csv(path)
    raise CorpusError(
        f"expected EmoryNLP with {' or '.join(names)} in it, got {root}: give the folder "
        "with the three splits"
    )


def _read_json(path: Path) -> list[_Line]:
    text = read_text_file(path, *_ENCODINGS)
    try:
        scenes = [scene for episode in json.loads(text)["episodes"] for scene in episode["scenes"]]
        return [_json_line(utterance, path) for scene in scenes for utterance in scene["utterances"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path}: expected episodes of scenes of utterances, got {error!r}: get the file again"
        ) from error


def _json_line(utterance: dict[str, Any], path: Path) -> _Line:
    name = utterance["utterance_id"]
    found = _UTTERANCE.fullmatch(name)
    if found is None:
        raise CorpusError(
            f"{path}: expected a name such as s01_e02_c01_u003, got {name!r}: get the file again"
        )
    return _Line(
        where=f"{path}, {name}",
        numbers=tuple(int(number) for number in found.groups()),
        speaker=" and ".join(utterance["speakers"]),
        emotion=utterance["emotion"],
        words=utterance["transcript"],
    )


def _read_csv(path: Path) -> list[_Line]:
    return [_csv_line(row) for row in read_table(path, _COLUMNS, encodings=_ENCODINGS)]


def _csv_line(row: CsvRow) -> _Line:
    places = [row.cells[column] for column in ("Season", "Episode", "Scene_ID", "Utterance_ID")]
    if not all(place.isdecimal() for place in places):
        raise CorpusError(
            f"{row.where}: expected numbers of season, episode, scene and utterance, got {places}"
        )
    return _Line(
        where=row.where,
        numbers=tuple(int(place) for place in places),
        speaker=" and ".join(_SPEAKER.findall(row.cells["Speaker"])),
        emotion=row.cells["Emotion"],
        words=fix_encoding(row.cells["Utterance"]),
    )


def _example(line: _Line, split: str) -> Example:
    season, episode, scene, number = line.numbers
    dialogue = f"s{season}e{episode}_{scene}"
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{dialogue}_{number}",
        emotion=label_of(line.emotion, line.where),
        emotion_orig=line.emotion,
        words=line.words,
        speaker=f"{CORPUS}_{line.speaker}" if line.speaker else "",
        dialogue=f"{CORPUS}_{dialogue}",
        split=split,
    )
