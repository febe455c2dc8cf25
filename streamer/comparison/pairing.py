"""Which label of one set belongs to which of the other: by recording, channel and time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from .labels import Label

LEAST_OVERLAP: Final = 0.5
"""Of two utterances that are taken for the same: the time they share, of the time that either has."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """both: (of the first set, of the second). only_first, only_second: those without a partner."""

    both: Sequence[tuple[Label, Label]]
    only_first: Sequence[Label]
    only_second: Sequence[Label]


def pair(first: Sequence[Label], second: Sequence[Label]) -> Pairs:
    """Utterances that overlap most go together, each once. A label without times belongs to every utterance
    of its recording in the other set.
    """
    both: list[tuple[Label, Label]] = []
    left: list[Label] = []
    right: list[Label] = []
    names = _common_names(first, second)
    theirs = _by_recording(second, names)
    ours = _by_recording(first, names)
    for recording in dict.fromkeys([*ours, *theirs]):
        found = _pair_recording(ours.get(recording, []), theirs.get(recording, []))
        both += found.both
        left += found.only_first
        right += found.only_second
    return Pairs(both, left, right)


def _pair_recording(first: Sequence[Label], second: Sequence[Label]) -> Pairs:
    candidates = sorted(
        (
            (overlap, -place, -other)
            for place, one in enumerate(first)
            for other, two in enumerate(second)
            if (overlap := _overlap(one, two)) >= LEAST_OVERLAP
        ),
        reverse=True,
    )
    used_first: set[int] = set()
    used_second: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for _, negative, other_negative in candidates:
        place, other = -negative, -other_negative
        one, two = first[place], second[other]
        # A label of the whole recording has as many partners as there are.
        if place in used_first and one.start_ms is not None:
            continue
        if other in used_second and two.start_ms is not None:
            continue
        if one.start_ms is None and two.start_ms is None and (place in used_first or other in used_second):
            continue
        used_first.add(place)
        used_second.add(other)
        pairs.append((place, other))
    return Pairs(
        [(first[place], second[other]) for place, other in sorted(pairs)],
        [one for place, one in enumerate(first) if place not in used_first],
        [two for other, two in enumerate(second) if other not in used_second],
    )


def _overlap(one: Label, two: Label) -> float:
    """0 to 1: intersection over union of the times; 1 where one of them is the whole recording."""
    if one.channel is not None and two.channel is not None and one.channel != two.channel:
        return 0.0
    if one.start_ms is None or one.end_ms is None or two.start_ms is None or two.end_ms is None:
        return 1.0
    shared = min(one.end_ms, two.end_ms) - max(one.start_ms, two.start_ms)
    whole = max(one.end_ms, two.end_ms) - min(one.start_ms, two.start_ms)
    return shared / whole if shared > 0 else 0.0


def _by_recording(labels: Iterable[Label], names: dict[str, str]) -> dict[str, list[Label]]:
    found: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        found[names[label.recording]].append(label)
    return found


def _common_names(first: Sequence[Label], second: Sequence[Label]) -> dict[str, str]:
    """Recording -> the name by which it is the same in both sets: its path, or, where no path is in both, its
    file name or that without its suffix, if it is unique on either side.
    """
    sides = [dict.fromkeys(label.recording for label in labels) for labels in (first, second)]
    if set(sides[0]) & set(sides[1]):
        return {name: name for side in sides for name in side}
    for shorten in (_file_name, _stem):
        short = [[shorten(name) for name in side] for side in sides]
        unique = all(len(set(names)) == len(names) for names in short)
        if unique and set(short[0]) & set(short[1]):
            return {name: shorten(name) for side in sides for name in side}
    return {name: name for side in sides for name in side}


def _file_name(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name


def _stem(path: str) -> str:
    return PurePath(path.replace("\\", "/")).stem
