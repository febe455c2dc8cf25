"""Clips paired with texts of the same label, for lack of a corpus with emotion in both audio and words.

Such pairs inflate every metric. The text in place of a clip's words was chosen by the label and reveals it
as no real utterance's words do; the two modalities agree wherever either is certain. Useful to test the
code, and to compare one training with another; a metric on them is no evidence about real speech.
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

    A MELD dialogue is assigned to one speaker and a text is used once: splits that are speaker-disjoint are
    then dialogue- and text-disjoint. Where a speaker's dialogues have too few texts of a label, clips are
    left out, evenly over the sentences. `group` is the manifest's fold; speakers without one are distributed
    over the six. seed: of the assignment; the same seed gives the same corpus.

    Raises CorpusError as the readers of the two files do.
    """
    rng = np.random.default_rng(seed)
    clips = [clip for clip in read_manifest(root / "manifest.csv") if clip.emotion != OTHER]
    meld = [line for line in read_text_corpus(root / "text.csv.gz", ["meld"]) if line.emotion != OTHER]
    lines = _without_repeats(_shuffled(meld, rng))
    owners, folds = assign_dialogues(lines, clips, rng), assign_folds(clips)
    texts = _grouped(lines, lambda line: (owners[line.dialogue], line.emotion))
    cells = _grouped(_shuffled(clips, rng), lambda clip: (clip.speaker, clip.emotion))
    pairs = [
        replace(clip, paired=line.words, dialogue=line.dialogue, group=folds[clip.speaker])
        for cell, members in cells.items()
        for clip, line in zip(_sentences_interleaved(members), texts.get(cell, []), strict=False)
    ]
    return sorted(pairs, key=lambda pair: pair.key)


def assign_dialogues(
    lines: Sequence[Example], clips: Sequence[Example], rng: np.random.Generator
) -> dict[str, str]:
    """Dialogue -> speaker: greedily, the fullest dialogues first, each to the speaker who gains most by it.

    The value of a line grows with the scarcity of its label: clips that need one over lines that there are.
    Among speakers of equal gain, the one with the largest share still to fill gets it.
    """
    demand, supply = Counter(clip.emotion for clip in clips), Counter(line.emotion for line in lines)
    value = {label: demand[label] / supply[label] for label in supply}

    def gain(offer: Mapping[str, int], free: Mapping[str, int]) -> float:
        return sum(value[label] * min(count, free[label]) for label, count in offer.items())

    offers = _label_counts(lines, lambda line: line.dialogue)
    unfilled = _label_counts(sorted(clips, key=lambda clip: clip.speaker), lambda clip: clip.speaker)
    sizes = {speaker: free.total() for speaker, free in unfilled.items()}
    dialogues = _shuffled(sorted(offers), rng)
    dialogues.sort(key=lambda name: gain(offers[name], offers[name]), reverse=True)
    owners: dict[str, str] = {}
    for name in dialogues:
        owner = max(
            unfilled,
            key=lambda speaker: (
                gain(offers[name], unfilled[speaker]),
                unfilled[speaker].total() / sizes[speaker],
            ),
        )
        unfilled[owner] -= offers[name]  # counters: never below zero
        owners[name] = owner
    return owners


def assign_folds(clips: Sequence[Example]) -> dict[str, str]:
    """Speaker -> fold: the clips' own, else the emptiest so far, speakers with most clips first."""
    folds = {clip.speaker: clip.group for clip in clips}
    sizes = Counter(clip.speaker for clip in clips)
    filled = Counter(clip.group for clip in clips)
    unassigned = [speaker for speaker in sorted(folds) if not folds[speaker]]
    for speaker in sorted(unassigned, key=lambda speaker: -sizes[speaker]):
        folds[speaker] = min(FOLDS, key=lambda fold: filled[fold])
        filled[folds[speaker]] += sizes[speaker]
    return folds


def _without_repeats(lines: Sequence[Example]) -> list[Example]:
    """The first of the lines with equal words: `What?` occurs in many dialogues, with various labels."""
    first: dict[str, Example] = {}
    for line in lines:
        first.setdefault(normalize_text(line.words), line)
    return list(first.values())


def _sentences_interleaved(clips: Sequence[Example]) -> list[Example]:
    """The clips in an order in which every prefix has all sentences about equally often."""
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
