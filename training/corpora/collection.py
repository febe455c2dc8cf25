"""Several corpora in one folder: its own `manifest.csv`, and one in each subfolder that is a corpus.

A subfolder may hold `votes.csv` as well, how many listeners chose each emotion for a clip: `read_votes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from emostream.models import LABELS

from .csv_reader import CsvRow, read_table
from .example import CorpusError, Example
from .leakage import check_splits_disjoint
from .manifest import NAMES, read_manifest

VOTES_FILE: Final = "votes.csv"


def read_collection(root: Path) -> list[Example]:
    """All clips of all corpora; keys and corpora are named by subfolder. Lines without audio are left out.

    Raises CorpusError where there is no manifest at all, for what `read_manifest` refuses, and for a speaker
    or dialogue in two splits.
    """
    own = [root] if any((root / name).is_file() for name in NAMES) else []
    folders = sorted(folder for folder in root.glob("*") if any((folder / name).is_file() for name in NAMES))
    if not own and not folders:
        raise CorpusError(
            f"expected {' or '.join(NAMES)} in {root} or its subfolders, got none: is it the right folder?"
        )
    examples = [example for folder in own for example in read_manifest(folder)]
    for folder in folders:
        examples += [_within(folder, example) for example in read_manifest(folder)]
    examples = [example for example in examples if example.path is not None]
    key, times = Counter(example.key for example in examples).most_common(1)[0]
    if times > 1:
        raise CorpusError(f"expected every clip of {root} once, got {key} {times} times: leave one out")
    check_splits_disjoint(examples)
    return examples


def read_votes(file: Path) -> dict[str, Mapping[str, int]]:
    """Clip (the file's name without its ending) -> emotion -> listeners who chose it.

    Columns: clip, and one for each emotion, of which the four labels are required; others but `mean_rating`
    count as listeners who chose something else. Raises CorpusError.
    """
    rows = read_table(file, ("clip", *LABELS))
    return {row.cells["clip"]: _counts(row) for row in rows}


def vote_shares(votes: Mapping[str, int]) -> tuple[float, ...] | None:
    """The share of each of `LABELS` among those who chose one of them; None where there was no such vote."""
    chosen = [votes.get(label, 0) for label in LABELS]
    total = sum(chosen)
    return tuple(count / total for count in chosen) if total else None


def _within(folder: Path, example: Example) -> Example:
    named = replace(example, key=f"{folder.name}/{example.key}")
    return replace(named, corpus=folder.name) if example.corpus == "manifest" else named


def _counts(row: CsvRow) -> dict[str, int]:
    counts = {}
    for name, value in row.cells.items():
        if name in ("clip", "mean_rating"):
            continue
        if not value.isdecimal():
            raise CorpusError(
                f"{row.where}: expected a number of listeners for {name}, got {value!r}: fix it"
            )
        counts[name] = int(value)
    return counts
