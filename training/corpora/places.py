"""Clips by where they lie: a manifest, a folder with manifests, or folders named by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .collection import read_collection
from .example import CorpusError, Example
from .label_folders import read_label_folders
from .manifest import NAMES, read_manifest


def read_places(places: Sequence[Path]) -> list[Example]:
    """All clips of all places, keys unique. Text without audio is left out.

    A corpus that its manifest does not name has the name of its file or folder, after that of the folder
    above where two would share one. Raises CorpusError for a place that is none of the three, and for two of
    one name.
    """
    names = _names(places)
    examples: list[Example] = []
    for place, name in zip(places, names, strict=True):
        found = [_named(example, name) for example in _read(place, name) if example.path is not None]
        if not found:
            raise CorpusError(f"expected clips in {place}, got text alone: name a place with audio")
        examples += found if len(places) == 1 else [replace(e, key=f"{name}/{e.key}") for e in found]
    seen: dict[Path, str] = {}
    for example in examples:
        first = seen.setdefault(example.audio_path.resolve(), example.key)
        if first != example.key:
            raise CorpusError(
                f"expected every clip once, got {example.audio_path} as {first} and as "
                f"{example.key}: name one place of the two"
            )
    return examples


def _read(place: Path, name: str) -> list[Example]:
    if place.is_file():
        return read_manifest(place)
    if not place.is_dir():
        raise CorpusError(f"expected a manifest or a folder at {place}, got none: check the path")
    manifests = [place / name for name in NAMES] + [
        path for name in NAMES for path in place.glob(f"*/{name}")
    ]
    return (
        read_collection(place)
        if any(path.is_file() for path in manifests)
        else read_label_folders(place, name)
    )


def _named(example: Example, name: str) -> Example:
    """With the place's name where the manifest gave none."""
    return replace(example, corpus=name) if example.corpus == "manifest" else example


def _names(places: Sequence[Path]) -> list[str]:
    whole = [place.resolve() for place in places]
    own = [
        path.parent if path.stem == "manifest" and path.is_file() else path.with_suffix("") for path in whole
    ]
    times = Counter(path.name for path in own)
    names = [path.name if times[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in own]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise CorpusError(
            f"expected places of different names, got {twice[0]} twice: name one of them, or rename it"
        )
    return names
