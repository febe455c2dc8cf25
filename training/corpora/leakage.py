"""Checks for leakage: no speaker and no dialogue may be on both sides of a split, or every metric is wrong.

Nor may a line that two corpora share: EmoryNLP and MELD are of the same series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from emostream.models.text_normalization import normalize_text

from .example import CorpusError, Example

DisjointUnit = Literal["speaker", "dialogue"]

_MIN_WORDS: Final = 6
"""A shorter line, `I do not know.`, occurs in many dialogues."""


def check_disjoint(
    parts: Mapping[str, Iterable[Example]], units: Sequence[DisjointUnit] = ("speaker", "dialogue")
) -> None:
    """Raises CorpusError where two parts share a speaker or a dialogue. Empty names do not count.

    parts: name of the part -> its examples.
    """
    found: dict[tuple[DisjointUnit, str], str] = {}
    for part, examples in parts.items():
        for example in examples:
            for unit in units:
                name = getattr(example, unit)
                first = found.setdefault((unit, name), part)
                if name and first != part:
                    raise CorpusError(
                        f"{unit} {name} is in {first} and in {part}: expected {unit}-disjoint splits, "
                        "fix the manifest or choose another protocol"
                    )


def check_splits_disjoint(
    examples: Iterable[Example], units: Sequence[DisjointUnit] = ("speaker", "dialogue")
) -> None:
    """The same for the examples' own splits; those without a split do not count."""
    parts: dict[str, list[Example]] = {}
    for example in examples:
        if example.split:
            parts.setdefault(example.split, []).append(example)
    check_disjoint(parts, units)


class CrossCorpusDuplicates:
    """Examples whose line occurs in another corpus too: one of six spoken words or more.

    The line is what a model would read: a paired text, otherwise the words. Only lines of a dialogue or of
    written text count: a fixed sentence, of a clip that is of no dialogue, is the same for every actor and
    carries no information about the emotion.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        multiple = len({example.corpus for example in examples}) > 1
        self._lines = {example.key: _line(example) for example in examples} if multiple else {}

    def without(self, examples: Iterable[Example], test: Iterable[Example]) -> list[Example]:
        """The examples except those whose line is among the `test` examples of another corpus."""
        corpora: dict[str, set[str]] = {}
        for example in test:
            if line := self._lines.get(example.key):
                corpora.setdefault(line, set()).add(example.corpus)
        return [
            example
            for example in examples
            if not corpora.get(self._lines.get(example.key, ""), set()) - {example.corpus}
        ]


def _line(example: Example) -> str:
    """The spoken form of an example's line; empty where it does not count."""
    if example.path is not None and not example.dialogue:
        return ""
    line = normalize_text(example.paired or example.words)
    return line if len(line.split()) >= _MIN_WORDS else ""
