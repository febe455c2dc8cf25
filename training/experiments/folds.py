"""Divides examples into train, validation and test folds; without leakage, but for a protocol that says so.

No speaker and no conversation is in two parts. Examples that share either, directly or through others, form a
*component* (of the graph of examples, speakers and dialogues); components are never split. An IEMOCAP session
is one, a RAVDESS speaker is one. Nor is anything trained on a line that is in the test set of another corpus.

`utterance` is the exception: published figures rest on it, and can only be compared with their like. Two ways
of validation share something with another part too, and say so: `dialogues` and `partner`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..corpora.example import CorpusError, Example
from ..corpora.leakage import CrossCorpusDuplicates, DisjointUnit, check_disjoint
from .fold_groups import components_of, groups_of
from .protocols import ProtocolName, ValidationName, resolve_validation, shared_units

_EVERY_FIFTH: Final = 5
_EVERY_TENTH: Final = 10


@dataclass(frozen=True, slots=True)
class Fold:
    """One division. name: of the group that is left out. sessions: key of a test example -> a name that is
    the same for all who talk to each other.
    """

    name: str
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    sessions: Mapping[str, str] = field(default_factory=dict, kw_only=True)


def make_folds(
    examples: Sequence[Example],
    protocol: ProtocolName,
    labels: Mapping[str, int],
    *,
    validation_share: float,
    units: Sequence[DisjointUnit] = ("speaker", "dialogue"),
    validation: ValidationName | None = None,
    folds: int = 5,
) -> list[Fold]:
    """All folds of a protocol. labels: key -> label. validation_share: of what is not tested.

    Examples in the components of the test examples are not trained on: with leave-one-speaker-out that
    removes the partner in IEMOCAP's two-person sessions. validation: see `protocols`; None: the protocol's
    own. `speakers` takes whole components of the rest, `dialogues` whole dialogues of them, from all
    components in turn, different ones in every fold, until it has its share. units: what parts must not
    share; a corpus whose own splits share speakers (MELD) has dialogues only. folds: how many the protocol
    `folds` has. Neither other part has a line
    of the test examples from another corpus (EmoryNLP and MELD share many): see `CrossCorpusDuplicates`.

    Raises CorpusError where the examples do not allow the protocol.
    """
    components = components_of(examples, units)
    if protocol == "split":
        divided, used = [_own_split(examples)], None
    elif protocol == "utterance":
        divided, used = _every_fifth(examples), resolve_validation(protocol, validation)
    else:
        groups = groups_of(examples, protocol, components, folds)
        if protocol != "speaker":
            check_disjoint(groups, units)
        used = resolve_validation(protocol, validation, partners=_have_partners(groups, examples, components))
        plan = _Plan(examples, components, validation_share, labels, used)
        divided = [plan.leave_out(group, number, test) for number, (group, test) in enumerate(groups.items())]
    shared = CrossCorpusDuplicates(examples)
    session = {e.key: str(component) for e, component in zip(examples, components, strict=True)}
    divided = [
        replace(_without_tested_lines(fold, shared), sessions={e.key: session[e.key] for e in fold.test})
        for fold in divided
    ]
    _check_speakers_known(examples)
    for fold in divided:
        _check_labels_covered(fold, labels)
        _check_parts(fold, protocol, used, units)
    return divided


def _every_fifth(examples: Sequence[Example]) -> list[Fold]:
    """Five folds: each tests every fifth utterance, from the first to the fifth on, in the corpus's order;
    every tenth of the rest is for validation.

    The first fold is how the code published with arXiv 2211.10885 splits.
    """
    folds = []
    for start in range(_EVERY_FIFTH):
        rest = [e for place, e in enumerate(examples) if place % _EVERY_FIFTH != start]
        folds.append(
            Fold(
                str(start + 1),
                [e for place, e in enumerate(rest) if place % _EVERY_TENTH],
                rest[::_EVERY_TENTH],
                list(examples[start::_EVERY_FIFTH]),
            )
        )
    return folds


def _check_parts(
    fold: Fold,
    protocol: ProtocolName,
    validation: ValidationName | None,
    units: Sequence[DisjointUnit],
) -> None:
    """Raises CorpusError where two parts share what they must not: everything but what `shared_units` lets
    them share.
    """
    parts = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        allowed = shared_units(protocol, validation, first, second)
        strict = tuple(unit for unit in units if unit not in allowed)
        check_disjoint({first: parts[first], second: parts[second]}, strict)


def _have_partners(
    groups: Mapping[str, Sequence[Example]], examples: Sequence[Example], components: Sequence[int]
) -> bool:
    """Whether everybody who is tested talks to somebody who is not."""
    of_key = {example.key: component for example, component in zip(examples, components, strict=True)}
    sizes = Counter(components)
    return all(
        len(test) < sum(sizes[component] for component in {of_key[example.key] for example in test})
        for test in groups.values()
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all folds of a protocol share. components: of the examples."""

    examples: Sequence[Example]
    components: Sequence[int]
    share: float
    labels: Mapping[str, int]
    validation: ValidationName

    def leave_out(self, name: str, number: int, test: Sequence[Example]) -> Fold:
        tested = {example.key for example in test}
        pairs = list(zip(self.examples, self.components, strict=True))
        of_test = {component for example, component in pairs if example.key in tested}
        rest = [(example, component) for example, component in pairs if component not in of_test]
        if self.validation == "partner":
            partners = [e for e, component in pairs if component in of_test and e.key not in tested]
            return Fold(name, [example for example, _ in rest], partners, list(test))
        chosen = self._validation_keys(rest, number)
        return Fold(
            name,
            [example for example, _ in rest if example.key not in chosen],
            [example for example, _ in rest if example.key in chosen],
            list(test),
        )

    def _validation_keys(self, rest: Sequence[tuple[Example, int]], number: int) -> set[str]:
        """Components, or dialogues, in turn, starting elsewhere in every fold, until the share is reached and
        all labels occur.

        The corpora take turns, or the components whose dialogues they are, so that each of them is
        represented in the validation set.
        """
        required = {self.labels[example.key] for example, _ in rest}
        members: dict[str, list[Example]] = {}
        queues: dict[str, list[str]] = {}
        for example, component in rest:
            unit, turn = self._unit(example, component)
            if unit not in members:
                queues.setdefault(turn, []).append(unit)
            members.setdefault(unit, []).append(example)
        order = _interleaved(
            [_rotated(queue, number * max(1, round(self.share * len(queue)))) for queue in queues.values()]
        )
        chosen: set[str] = set()
        present: set[int] = set()
        for unit in order[:-1]:
            if len(chosen) >= self.share * len(rest) and present == required:
                break
            chosen |= {example.key for example in members[unit]}
            present |= {self.labels[example.key] for example in members[unit]}
        return chosen

    def _unit(self, example: Example, component: int) -> tuple[str, str]:
        """What is taken whole, and in turn with what."""
        if self.validation == "speakers":
            return str(component), example.corpus
        if not example.dialogue:
            raise CorpusError(
                f"{example.key}: expected a dialogue, which validation by dialogues takes whole, found none: "
                "choose validation by speakers"
            )
        return example.dialogue, str(component)


def _rotated(queue: list[str], start: int) -> list[str]:
    start %= len(queue)
    return queue[start:] + queue[:start]


def _interleaved(queues: Sequence[list[str]]) -> list[str]:
    longest = max(map(len, queues), default=0)
    return [queue[index] for index in range(longest) for queue in queues if index < len(queue)]


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
