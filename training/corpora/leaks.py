"""No speaker and no conversation stands on both sides of a split: one that does makes every figure a lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from .example import CorpusError, Example

Unit = Literal["speaker", "dialogue"]


def refuse_leaks(
    parts: Mapping[str, Iterable[Example]], units: Sequence[Unit] = ("speaker", "dialogue")
) -> None:
    """Raises CorpusError where two parts share a speaker or a dialogue. An empty name is nobody's.

    parts: name of the part -> its examples.
    """
    found: dict[tuple[Unit, str], str] = {}
    for part, examples in parts.items():
        for example in examples:
            for unit in units:
                name = getattr(example, unit)
                first = found.setdefault((unit, name), part)
                if name and first != part:
                    raise CorpusError(
                        f"{unit} {name} stands in {first} and in {part}: expected {unit}-disjoint splits, "
                        "mend the manifest or choose another protocol"
                    )


def refuse_leaking_splits(
    examples: Iterable[Example], units: Sequence[Unit] = ("speaker", "dialogue")
) -> None:
    """The same of the examples' own splits; those without one do not count."""
    parts: dict[str, list[Example]] = {}
    for example in examples:
        if example.split:
            parts.setdefault(example.split, []).append(example)
    refuse_leaks(parts, units)
