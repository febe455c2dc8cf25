"""What a protocol leaves out in turn: groups of examples, and the islands that no group may cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..corpora.example import CorpusError, Example
from ..corpora.leakage import DisjointUnit
from .protocols import ProtocolName


def groups_of(
    examples: Sequence[Example], protocol: ProtocolName, components: Sequence[int], folds: int
) -> dict[str, list[Example]]:
    """Name -> the examples that are tested together, in the order of the names. components: of the examples.

    folds: how many the protocol `folds` has. Raises CorpusError where the examples do not allow the protocol.
    """
    if protocol == "folds":
        return _dealt(examples, components, folds)
    if protocol == "session":
        return _sessions(examples, components)
    name: dict[str, Callable[[Example], str]] = {
        "group": lambda example: example.group,
        "speaker": lambda example: example.speaker,
        "corpus": lambda example: example.corpus,
    }
    return _grouped(examples, protocol, name[protocol])


def _sessions(examples: Sequence[Example], components: Sequence[int]) -> dict[str, list[Example]]:
    """The components, by the corpus's name of the group where a component is one, else by their speakers."""
    if lone := [e.key for e in examples if not e.speaker and not e.dialogue]:
        raise CorpusError(
            f"{lone[0]}: expected a speaker or a dialogue, of which sessions consist, found none: choose "
            "another protocol"
        )
    members: dict[int, list[Example]] = {}
    for component, example in zip(components, examples, strict=True):
        members.setdefault(component, []).append(example)
    groups = [{example.group for example in part} for part in members.values()]
    own = [next(iter(group)) for group in groups if len(group) == 1]
    if "" not in own and len(own) == len(set(own)) == len(members):
        names = own
    else:
        names = [
            "+".join(sorted({e.speaker for e in part} - {""})) or min(e.dialogue for e in part)
            for part in members.values()
        ]
    named = dict(zip(names, members.values(), strict=True))
    if len(named) < 2:
        raise CorpusError(
            f"expected two or more sessions, of speakers who do not talk to each other, got "
            f"{', '.join(named)}: choose another protocol"
        )
    return dict(sorted(named.items()))


def _dealt(examples: Sequence[Example], components: Sequence[int], folds: int) -> dict[str, list[Example]]:
    """Components to folds 1, 2, ... in turn, the largest first, corpus by corpus: folds of about one size,
    with each corpus in all of them.
    """
    members: dict[int, list[Example]] = {}
    for component, example in zip(components, examples, strict=True):
        members.setdefault(component, []).append(example)
    if len(members) < folds:
        raise CorpusError(
            f"expected at least {folds} speakers who do not talk to each other for {folds} folds, got "
            f"{len(members)}: choose fewer folds"
        )
    ordered = sorted(members.values(), key=lambda part: (part[0].corpus, -len(part), part[0].key))
    dealt: dict[str, list[Example]] = {str(number + 1): [] for number in range(folds)}
    for place, part in enumerate(ordered):
        dealt[str(place % folds + 1)] += part
    return dealt


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


def components_of(examples: Sequence[Example], units: Sequence[DisjointUnit]) -> list[int]:
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
