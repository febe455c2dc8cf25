"""What a section yields while it measures, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """The measured value of a target, in the target's unit. note: stands behind the value in the table."""

    target: str
    value: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole file beside results.md."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What is measured now."""

    doing: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a section, or a part of it that the others do not need, could not be measured."""

    reason: str


Part = str | Figure | Page | Progress | Failure
"""A string is Markdown."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured with. speech: recordings of one utterance each; None for the demo's recording. smoke:
    everything at its smallest, so that only the code is tried. stamp: date, commit and machine. before:
    target -> what was measured last, where a search begins.
    """

    speech: Path | None
    smoke: bool
    stamp: str
    before: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[[Setup], Iterator[Part]]


@dataclass(frozen=True, slots=True)
class Section:
    """name: of `--only`. measure: `module:function`, a Measure; imported only in the process that runs it.
    seconds, smoke_seconds: what it takes on two cores. targets: keys of the figures that it yields.
    in_suite: whether a run of everything includes it.
    """

    name: str
    heading: str
    measure: str
    seconds: float
    smoke_seconds: float
    targets: tuple[str, ...] = ()
    in_suite: bool = True

    def expected_s(self, smoke: bool) -> float:
        return self.smoke_seconds if smoke else self.seconds

    def limit_s(self, smoke: bool) -> float:
        """After which it has failed."""
        return 60.0 + 4.0 * self.expected_s(smoke)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines) + "\n"
