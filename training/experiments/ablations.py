"""What each row of the table changes in the experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, get_args

from msgspec.structs import replace

from ..emotion.settings import ContrastiveSettings, Granularity
from .experiment import Experiment
from .table_rows import BASELINE, CONTINUED, GOLD, TableRow


def experiment_for_row(experiment: Experiment, row: TableRow) -> Experiment:
    """The experiment of one row. A row that is not one of the papers' is the experiment unchanged."""
    if row.group == "other":
        return experiment
    base = replace(experiment, contrastive=ContrastiveSettings())
    if starts_from_baseline(row):
        base = replace(base, trainer=experiment.continued)
    if row.objective is not None and row.alpha is not None:
        return replace(base, contrastive=ContrastiveSettings(objective=row.objective, alpha=row.alpha))  # type: ignore[arg-type]
    change = _CHANGES.get(row.name)
    return base if change is None else change(base)


def starts_from_baseline(row: TableRow) -> bool:
    """Whether training continues from the baseline's weights: the contrastive rows and their control."""
    return row.name == CONTINUED or row.group == "contrastive"


def same_as_baseline(experiment: Experiment, row: TableRow) -> bool:
    """Whether the row is the baseline under another name, so that nothing needs to be trained."""
    if row.name == BASELINE or row.group == "other" or starts_from_baseline(row):
        return False
    return experiment_for_row(experiment, row) == experiment_for_row(
        experiment, TableRow(BASELINE, "baseline")
    )


def aligned_granularities(experiment: Experiment) -> tuple[Granularity, ...]:
    """The granularities that need an alignment."""
    if experiment.model.fusion in ("late", "concat") or not experiment.data.use_audio:
        return ()
    return tuple(name for name in experiment.model.granularities if name != "frame")


def _fusion(experiment: Experiment, fusion: str) -> Experiment:
    return replace(experiment, model=replace(experiment.model, fusion=fusion))


def _granularities(experiment: Experiment, *names: str) -> Experiment:
    return replace(experiment, model=replace(experiment.model, granularities=names))


def _single_modality(experiment: Experiment, **data: object) -> Experiment:
    """One modality through its own head: with nothing to fuse, fusion would only add parameters, and
    granularities do not apply."""
    single = replace(experiment, data=replace(experiment.data, **data))
    return _granularities(_fusion(single, "late"), "frame")


_CHANGES: Final[Mapping[str, Callable[[Experiment], Experiment]]] = {
    "early fusion": lambda base: _fusion(base, "early"),
    "late fusion": lambda base: _fusion(base, "late"),
    "early and late fusion": lambda base: _fusion(base, "both"),
    "frame": lambda base: _granularities(base, "frame"),
    "phone": lambda base: _granularities(base, "phone"),
    "syllable": lambda base: _granularities(base, "syllable"),
    "word": lambda base: _granularities(base, "word"),
    "all granularities": lambda base: _granularities(base, *get_args(Granularity)),
    "audio only": lambda base: _single_modality(base, text_source="none"),
    "text only": lambda base: _single_modality(base, use_audio=False),
    GOLD: lambda base: replace(base, data=replace(base.data, text_source="gold")),
}
