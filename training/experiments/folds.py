"""Divides examples into train, validation and test folds without leakage.

No speaker and no conversation is in two parts. Examples that share either, directly or through others, form a
*component* (of the graph of examples, speakers and dialogues); components are never split. An IEMOCAP session
is one, a RAVDESS speaker is one. Nor is anything trained on a line that is in the test set of another corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..corpora.example import CorpusError, Example
from ..corpora.leakage import CrossCorpusDuplicates, DisjointUnit, check_disjoint

ProtocolName = Literal["group", "speaker", "corpus", "split"]
"""group: leave one of the corpus's own groups out (IEMOCAP's sessions, EmoBox's folds). speaker: leave one
speaker out. corpus: leave one corpus out. split: the corpus's own train, dev and test."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One division. name: of the group that is left out."""

    name: str
    train: list[Example]
    validation: list[Example]
    test: list[Example]


def make_folds(
    examples: Sequence[Example],
    protocol: ProtocolName,
    labels: Mapping[str, int],
    *,
    validation_share: float,
    units: Sequence[DisjointUnit] = ("speaker", "dialogue"),
) -> list[Fold]:
    """All folds of a protocol. labels: key -> label. validation_share: of what is not tested.

    Examples in the components of the test examples are in neither other part: with leave-one-speaker-out that
    removes the partner in IEMOCAP's two-person sessions. Validation takes whole components of the rest,
    different ones in every fold, until it has its share. units: what parts must not share; a corpus whose own
    splits share speakers (MELD) has dialogues only. Neither other part has a line of the test examples from
    another corpus (EmoryNLP and MELD share many): see `CrossCorpusDuplicates`.

    Raises CorpusError where the examples do not allow the protocol.
    """
    if protocol == "split":
        folds = [_own_split(examples)]
    else:
        name: dict[str, Callable[[Example], str]] = {
            "group": lambda example: example.group,
            "speaker": lambda example: example.speaker,
            "corpus": lambda example: example.corpus,
        }
        groups = _grouped(examples, protocol, name[protocol])
        components = _components(examples, units)
        if protocol != "speaker":
            check_disjoint(groups, units)
        folds = [
            _leave_out(group, number, test, examples, components, validation_share, labels)
            for number, (group, test) in enumerate(groups.items())
        ]
    shared = CrossCorpusDuplicates(examples)
    folds = [_without_tested_lines(fold, shared) for fold in folds]
    _check_speakers_known(examples)
    for fold in folds:
        _check_labels_covered(fold, labels)
        check_disjoint({"train": fold.train, "validation": fold.validation, "test": fold.test}, units)
    return folds


def _grouped(
    examples: Sequence[Example], protocol: str, name: Callable[[Example], str]
) -> dict[str, list[Example]]:
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if not name(example):
            raise CorpusError(
                f"{example.key}: expected a {protocol} to leave out, found none: choose another protocol"
            )
        groups.setdefault(name(example), []).append(example)
    if len(groups) < 2:
        raise CorpusError(
            f"expected two or more of: {protocol}, got {', '.join(groups) or 'none'}: choose another protocol"
        )
    return dict(sorted(groups.items()))


def _leave_out(
    name: str,
    number: int,
    test: Sequence[Example],
    examples: Sequence[Example],
    components: Sequence[int],
    share: float,
    labels: Mapping[str, int],
) -> Fold:
    tested = {example.key for example in test}
    of_test = {
        component for example, component in zip(examples, components, strict=True) if example.key in tested
    }
    rest = [
        (e, component) for e, component in zip(examples, components, strict=True) if component not in of_test
    ]
    chosen = _validation_components(
        [component for _, component in rest], [e for e, _ in rest], number, share, labels
    )
    return Fold(
        name,
        [example for example, component in rest if component not in chosen],
        [example for example, component in rest if component in chosen],
        list(test),
    )


def _validation_components(
    components: Sequence[int], rest: Sequence[Example], number: int, share: float, labels: Mapping[str, int]
) -> set[int]:
    """Components in turn, starting elsewhere in every fold, until the share is reached and all labels occur.

    The corpora take turns, so that each of them is represented in the validation set.
    """
    required = {labels[example.key] for example in rest}
    members: dict[int, list[Example]] = {}
    for component, example in zip(components, rest, strict=True):
        members.setdefault(component, []).append(example)
    queues: dict[str, list[int]] = {}
    for component, examples in members.items():
        queues.setdefault(examples[-1].corpus, []).append(component)
    order = _interleaved(
        [_rotated(queue, number * max(1, round(share * len(queue)))) for queue in queues.values()]
    )
    chosen: set[int] = set()
    present: set[int] = set()
    count = 0
    for component in order[:-1]:
        if count >= share * len(rest) and present == required:
            break
        chosen.add(component)
        count += len(members[component])
        present |= {labels[example.key] for example in members[component]}
    return chosen


def _rotated(queue: list[int], start: int) -> list[int]:
    start %= len(queue)
    return queue[start:] + queue[:start]


def _interleaved(queues: Sequence[list[int]]) -> list[int]:
    longest = max(map(len, queues), default=0)
    return [queue[index] for index in range(longest) for queue in queues if index < len(queue)]


def _components(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> list[int]:
    """The component of every example: components of the graph of examples, speakers and dialogues."""
    nodes: dict[tuple[str, str], int] = {}
    rows, columns = [], []
    for index, example in enumerate(examples):
        for name in _names([example], units):
            rows.append(index)
            columns.append(len(examples) + nodes.setdefault(name, len(nodes)))
    size = len(examples) + len(nodes)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, found = connected_components(graph, directed=False)
    return [int(component) for component in found[: len(examples)]]


def _names(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> set[tuple[str, str]]:
    return {(unit, getattr(e, unit)) for e in examples for unit in units if getattr(e, unit)}


def _check_speakers_known(examples: Sequence[Example]) -> None:
    """Raises where only some speakers are known: the unknown ones could be any of them."""
    without_speaker = {
        corpus: [e.key for e in examples if e.corpus == corpus and not e.speaker and e.path is not None]
        for corpus in {example.corpus for example in examples if example.speaker}
    }
    for corpus, keys in without_speaker.items():
        if keys:
            raise CorpusError(
                f"{corpus}: expected the speaker of every clip or of none, got none for {len(keys)}, the "
                f"first is {keys[0]}: fill the column in"
            )


def _own_split(examples: Sequence[Example]) -> Fold:
    parts = {split: [e for e in examples if e.split == split] for split in ("train", "dev", "test")}
    if missing := [split for split, part in parts.items() if not part]:
        raise CorpusError(
            f"expected examples of the splits train, dev and test, found none of {', '.join(missing)}: "
            "choose another protocol"
        )
    return Fold("test", parts["train"], parts["dev"], parts["test"])


def _without_tested_lines(fold: Fold, shared: CrossCorpusDuplicates) -> Fold:
    train, validation = (shared.without(part, fold.test) for part in (fold.train, fold.validation))
    return Fold(fold.name, train, validation, fold.test)


def _check_labels_covered(fold: Fold, labels: Mapping[str, int]) -> None:
    """Raises unless train and validation hold two labels or more, and train every label of the test
    examples.
    """
    for part in ("train", "validation"):
        examples: list[Example] = getattr(fold, part)
        if len({labels[example.key] for example in examples}) < 2:
            got = f"{len(examples)} of one" if examples else "none"
            raise CorpusError(
                f"fold {fold.name}: expected examples of two labels or more for {part}, got {got}: the "
                "corpus is too small for this protocol"
            )
    trained = {labels[example.key] for example in fold.train}
    if unknown := sorted({labels[example.key] for example in fold.test} - trained):
        raise CorpusError(
            f"fold {fold.name}: expected every label of the test examples among the training examples, "
            f"label number {unknown[0]} is not: choose another protocol"
        )
