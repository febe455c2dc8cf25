"""Clips paired with texts of the same label, for those who hold no corpus with emotion in sound and words.

Such pairs inflate every figure. The text in the place of a clip's words was chosen by the label and gives it
away as no real utterance's words do; the two modalities agree wherever either is sure. Good to check the
machinery with, and to compare one training with another; a figure on them says nothing about speech.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from emostream.models.text_normalization import normalize_text

from .example import OTHER, Example
from .manifest import read_manifest
from .text_corpus import read_text_corpus

FOLDS: Final = ("1", "2", "3", "4", "5", "6")

_Item = TypeVar("_Item")
_Key = TypeVar("_Key", bound=Hashable)


def read_label_matched(root: Path, *, seed: int = 0) -> list[Example]:
    """The four-class clips of `manifest.csv`; `paired` is a MELD line of the same label from `text.csv.gz`.

    A MELD dialogue belongs to one speaker and a text is read once: whatever keeps speakers apart keeps
    dialogues and texts apart. Where a speaker's dialogues have too few texts of a label, clips are left out,
    evenly over the sentences. `group` is the manifest's fold; speakers without one are dealt over the six.
    seed: of the dealing; one seed, one corpus.

    Raises CorpusError as the readers of the two files do.
    """
    rng = np.random.default_rng(seed)
    clips = [clip for clip in read_manifest(root / "manifest.csv") if clip.emotion != OTHER]
    meld = [line for line in read_text_corpus(root / "text.csv.gz", ["meld"]) if line.emotion != OTHER]
    lines = _once(_shuffled(meld, rng))
    owners, folds = assign_dialogues(lines, clips, rng), assign_folds(clips)
    texts = _grouped(lines, lambda line: (owners[line.dialogue], line.emotion))
    cells = _grouped(_shuffled(clips, rng), lambda clip: (clip.speaker, clip.emotion))
    pairs = [
        replace(clip, paired=line.words, dialogue=line.dialogue, group=folds[clip.speaker])
        for cell, members in cells.items()
        for clip, line in zip(_evenly(members), texts.get(cell, []), strict=False)
    ]
    return sorted(pairs, key=lambda pair: pair.key)


def assign_dialogues(
    lines: Sequence[Example], clips: Sequence[Example], rng: np.random.Generator
) -> dict[str, str]:
    """Whose each dialogue is, by name: greedily, the fullest first, each to the speaker whom it helps most.

    What a line is worth grows with how scarce its label is: clips that want one over lines that there are.
    Whom it helps alike, the one with most left to fill gets it.
    """
    demand, supply = Counter(clip.emotion for clip in clips), Counter(line.emotion for line in lines)
    worth = {label: demand[label] / supply[label] for label in supply}

    def gain(offer: Mapping[str, int], places: Mapping[str, int]) -> float:
        return sum(worth[label] * min(count, places[label]) for label, count in offer.items())

    offers = _label_counts(lines, lambda line: line.dialogue)
    left = _label_counts(sorted(clips, key=lambda clip: clip.speaker), lambda clip: clip.speaker)
    sizes = {speaker: places.total() for speaker, places in left.items()}
    dialogues = _shuffled(sorted(offers), rng)
    dialogues.sort(key=lambda name: gain(offers[name], offers[name]), reverse=True)
    owners: dict[str, str] = {}
    for name in dialogues:
        owner = max(left, key=lambda who: (gain(offers[name], left[who]), left[who].total() / sizes[who]))
        left[owner] -= offers[name]  # of counters: never less than nothing
        owners[name] = owner
    return owners


def assign_folds(clips: Sequence[Example]) -> dict[str, str]:
    """The fold of every speaker: the clips' own, else the emptiest so far, the fullest speakers first."""
    folds = {clip.speaker: clip.group for clip in clips}
    sizes = Counter(clip.speaker for clip in clips)
    filled = Counter(clip.group for clip in clips)
    homeless = [speaker for speaker in sorted(folds) if not folds[speaker]]
    for speaker in sorted(homeless, key=lambda speaker: -sizes[speaker]):
        folds[speaker] = min(FOLDS, key=lambda fold: filled[fold])
        filled[folds[speaker]] += sizes[speaker]
    return folds


def _once(lines: Sequence[Example]) -> list[Example]:
    """The first of the lines that sound alike: `What?` is said in many dialogues, with many a label."""
    first: dict[str, Example] = {}
    for line in lines:
        first.setdefault(normalize_text(line.words), line)
    return list(first.values())


def _evenly(clips: Sequence[Example]) -> list[Example]:
    """The clips such that any beginning of the list has all sentences about equally often."""
    seen: Counter[str] = Counter()
    turns: list[int] = []
    for clip in clips:
        turns.append(seen[clip.words])
        seen[clip.words] += 1
    return [clips[index] for index in np.argsort(turns, kind="stable")]


def _shuffled(items: Sequence[_Item], rng: np.random.Generator) -> list[_Item]:
    return [items[index] for index in rng.permutation(len(items))]


def _grouped(items: Sequence[_Item], key: Callable[[_Item], _Key]) -> dict[_Key, list[_Item]]:
    groups: defaultdict[_Key, list[_Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def _label_counts(items: Sequence[Example], key: Callable[[Example], str]) -> dict[str, Counter[str]]:
    groups = _grouped(items, key)
    return {name: Counter(member.emotion for member in members) for name, members in groups.items()}
