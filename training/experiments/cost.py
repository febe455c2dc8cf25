"""What a table costs: hours, disk and memory, from the cost of a step of each kind of fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .experiment import Experiment
from .table_rows import TableRow

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCost:
    """One kind of fit, and how often the table makes it.

    fits: rows times folds times seeds. steps: of all epochs of one of them. step_s, validation_s, final_s: of
    a step, of the predictions after each epoch, and of those of a finished fit. memory: the most bytes at
    once. weights, snapshot: bytes on disk of what training changes, and of all that a resumed run needs.
    """

    name: str
    fits: int
    epochs: int
    steps: int
    step_s: float
    validation_s: float
    final_s: float
    memory: int
    weights: int
    snapshot: int

    @property
    def seconds(self) -> float:
        """Of one fit that runs all its epochs; early stopping takes less."""
        return self.steps * self.step_s + self.epochs * self.validation_s + self.final_s


@dataclass(frozen=True, slots=True)
class TableCost:
    """kinds: of all fits. kept: files of weights that stay. cached: bytes of decoded audio and features.
    source: where the figures are from, `measured on ...` or `computed for ...`. once_s: spent before the
    first fit.
    """

    kinds: tuple[FitCost, ...]
    kept: int
    cached: int
    source: str
    once_s: float = 0.0

    @property
    def hours(self) -> float:
        return (self.once_s + sum(kind.fits * kind.seconds for kind in self.kinds)) / 3600

    @property
    def disk(self) -> int:
        """The most bytes at once: caches, the weights that stay, and one fit in progress."""
        running = max(kind.snapshot + kind.weights for kind in self.kinds)
        return self.cached + self.kept * max(kind.weights for kind in self.kinds) + running

    @property
    def memory(self) -> int:
        return max(kind.memory for kind in self.kinds)

    def markdown(self) -> str:
        """A table of the kinds, and a line for all of them."""
        lines = [
            "| fits | of the kind | steps each | ms a step | minutes each | memory GiB | hours |",
            "|---:|---|---:|---:|---:|---:|---:|",
            *(
                f"| {kind.fits} | {kind.name} | {kind.steps} | {1000 * kind.step_s:.0f} | "
                f"{kind.seconds / 60:.1f} | {kind.memory / GIB:.1f} | {kind.fits * kind.seconds / 3600:.1f} |"
                for kind in self.kinds
            ),
        ]
        fits = sum(kind.fits for kind in self.kinds)
        total = (
            f"{fits} fits: at most {self.hours:.1f} hours (all epochs; early stopping takes less), "
            f"{self.disk / GIB:.1f} GiB of disk, {self.memory / GIB:.1f} GiB of memory; {self.source}."
        )
        return "\n".join([*lines, "", total])


def fits_of(row: TableRow, rows: Sequence[TableRow], experiment: Experiment) -> float:
    """How often a fold trains the row: with each seed, an alpha after the sweep only where it is chosen."""
    seeds = len(experiment.seeds)
    if row.group != "contrastive" or not 0 < experiment.sweep_seeds < seeds:
        return seeds
    like = sum((row.base, row.objective) == (other.base, other.objective) for other in rows)
    return experiment.sweep_seeds + (seeds - experiment.sweep_seeds) / like


def kept_files(keep_weights: str, folds: int, seeds: int, fits: int) -> int:
    """How many files of weights stay on disk while the table is made."""
    bases = 2  # the baseline and the concatenation
    return {"baseline": bases * folds * seeds, "all": fits, "none": bases}[keep_weights]


def in_groups(kinds: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Kind -> names of its rows, in the order of the first. kinds: (kind, name) of each row."""
    groups: dict[str, list[str]] = {}
    for kind, name in kinds:
        groups.setdefault(kind, []).append(name)
    return groups


def name_of(rows: Sequence[str]) -> str:
    """`baseline`, `baseline and 3 like it`."""
    return rows[0] if len(rows) == 1 else f"{rows[0]} and {len(rows) - 1} like it"
