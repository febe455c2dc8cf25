"""Who is trained on, who decides when to stop, and who is judged.

No speaker and no conversation stands on two sides. Examples that share either, directly or through others,
form an *island*; islands are never cut. An IEMOCAP session is one, a RAVDESS speaker is one. Nor is anything
learned from a line that another corpus is tested on.
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
    """One division. name: of what is left out."""

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

    Whoever shares an island with the test examples is in neither other part: with
    leave-one-speaker-out that is the partner of IEMOCAP's two-person sessions. Validation takes whole islands
    of the rest, others in every fold, until it has its share. units: what must not be shared; a corpus whose
    own splits share speakers (MELD) has dialogues only. Neither other part has a line of the test examples
    from another corpus (EmoryNLP and MELD share many): see `CrossCorpusDuplicates`.

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
        islands = _islands(examples, units)
        if protocol != "speaker":
            check_disjoint(groups, units)
        folds = [
            _leave_out(group, number, test, examples, islands, validation_share, labels)
            for number, (group, test) in enumerate(groups.items())
        ]
    shared = CrossCorpusDuplicates(examples)
    folds = [_without_tested_lines(fold, shared) for fold in folds]
    _refuse_half_known(examples)
    for fold in folds:
        _refuse_poor(fold, labels)
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
    islands: Sequence[int],
    share: float,
    labels: Mapping[str, int],
) -> Fold:
    tested = {example.key for example in test}
    taken = {island for example, island in zip(examples, islands, strict=True) if example.key in tested}
    rest = [(e, island) for e, island in zip(examples, islands, strict=True) if island not in taken]
    chosen = _validation_islands([island for _, island in rest], [e for e, _ in rest], number, share, labels)
    return Fold(
        name,
        [example for example, island in rest if island not in chosen],
        [example for example, island in rest if island in chosen],
        list(test),
    )


def _validation_islands(
    islands: Sequence[int], rest: Sequence[Example], number: int, share: float, labels: Mapping[str, int]
) -> set[int]:
    """Islands in turn, from another place on in every fold, until share and labels are complete.

    The corpora take turns, so that each of them has its part in the decision.
    """
    wanted = {labels[example.key] for example in rest}
    members: dict[int, list[Example]] = {}
    for island, example in zip(islands, rest, strict=True):
        members.setdefault(island, []).append(example)
    queues: dict[str, list[int]] = {}
    for island, examples in members.items():
        queues.setdefault(examples[-1].corpus, []).append(island)
    order = _in_turn([_from(queue, number * max(1, round(share * len(queue)))) for queue in queues.values()])
    chosen: set[int] = set()
    held: set[int] = set()
    count = 0
    for island in order[:-1]:
        if count >= share * len(rest) and held == wanted:
            break
        chosen.add(island)
        count += len(members[island])
        held |= {labels[example.key] for example in members[island]}
    return chosen


def _from(queue: list[int], start: int) -> list[int]:
    start %= len(queue)
    return queue[start:] + queue[:start]


def _in_turn(queues: Sequence[list[int]]) -> list[int]:
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]


def _islands(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> list[int]:
    """The island of every example: components of the graph of examples, speakers and dialogues."""
    nodes: dict[tuple[str, str], int] = {}
    rows, columns = [], []
    for index, example in enumerate(examples):
        for name in _names([example], units):
            rows.append(index)
            columns.append(len(examples) + nodes.setdefault(name, len(nodes)))
    size = len(examples) + len(nodes)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, found = connected_components(graph, directed=False)
    return [int(island) for island in found[: len(examples)]]


def _names(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> set[tuple[str, str]]:
    return {(unit, getattr(e, unit)) for e in examples for unit in units if getattr(e, unit)}


def _refuse_half_known(examples: Sequence[Example]) -> None:
    """Where no speaker is known, the report says so; where some are, the others may be any of them."""
    nameless = {
        corpus: [e.key for e in examples if e.corpus == corpus and not e.speaker and e.path is not None]
        for corpus in {example.corpus for example in examples if example.speaker}
    }
    for corpus, keys in nameless.items():
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


def _refuse_poor(fold: Fold, labels: Mapping[str, int]) -> None:
    """Without training examples of every label that is judged there is nothing to compare."""
    for part in ("train", "validation"):
        examples: list[Example] = getattr(fold, part)
        if len({labels[example.key] for example in examples}) < 2:
            got = f"{len(examples)} of one" if examples else "none"
            raise CorpusError(
                f"fold {fold.name}: expected examples of two labels or more for {part}, got {got}: the "
                "corpus is too small for this protocol"
            )
    learned = {labels[example.key] for example in fold.train}
    if unknown := sorted({labels[example.key] for example in fold.test} - learned):
        raise CorpusError(
            f"fold {fold.name}: expected every label of the test examples among the training examples, "
            f"label number {unknown[0]} is not: choose another protocol"
        )
