"""What each row of the table changes in the experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from ..emotion.settings import ContrastiveSettings, Granularity
from .experiment import Experiment
from .table_rows import (
    AUDIO_ONLY,
    BASELINE,
    BOTH,
    CONCAT,
    EARLY,
    FINE_TUNED,
    FROZEN,
    GOLD,
    LATE,
    LORA,
    PROBE,
    RECOGNIZED,
    TEXT_ONLY,
    TableRow,
    granularities_of,
)


def experiment_for_row(experiment: Experiment, row: TableRow) -> Experiment:
    """The experiment of one row. A row that is not one of the papers' is the experiment unchanged."""
    if row.group == "other":
        return experiment
    base = replace(experiment, contrastive=ContrastiveSettings())
    if row.base is not None:
        base = replace(base, trainer=experiment.continued)
    if CONCAT in (row.name, row.base):
        base = _fusion(base, "concat")
    if row.objective is not None and row.alpha is not None:
        term = replace(experiment.contrastive, objective=row.objective, alpha=row.alpha)
        return replace(base, contrastive=term)
    if row.group == "granularity":
        return _granularities(base, *granularities_of(row.name))
    change = _CHANGES.get(row.name)
    return base if change is None else change(base)


def same_as_baseline(experiment: Experiment, row: TableRow) -> bool:
    """Whether the row is the baseline under another name, so that nothing needs to be trained."""
    if row.name in (BASELINE, PROBE) or row.group == "other" or row.base is not None:
        return False
    return experiment_for_row(experiment, row) == experiment_for_row(
        experiment, TableRow(BASELINE, "baseline")
    )


def trains_network(experiment: Experiment, row: TableRow) -> bool:
    """Whether the row costs a training run: the baseline under another name and the linear probe do not."""
    return row.name != PROBE and not same_as_baseline(experiment, row)


def fine_tunes(experiment: Experiment) -> bool:
    """Whether anything of an encoder is trained."""
    return not (experiment.model.audio_frozen == "all" and experiment.model.text_frozen == "all")


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


def _frozen(experiment: Experiment) -> Experiment:
    """With the learning rate that heads on frozen encoders are given: that of fine-tuning is small."""
    model = replace(experiment.model, audio_frozen="all", text_frozen="all", lora_rank=0)
    trainer = replace(experiment.trainer, learning_rate=experiment.encoders.frozen_rate)
    return replace(experiment, model=model, trainer=trainer)


def _adapters(experiment: Experiment, rank: int) -> Experiment:
    return replace(experiment, model=replace(experiment.model, lora_rank=rank))


_CHANGES: Final[Mapping[str, Callable[[Experiment], Experiment]]] = {
    EARLY: lambda base: _fusion(base, "early"),
    LATE: lambda base: _fusion(base, "late"),
    BOTH: lambda base: _fusion(base, "both"),
    AUDIO_ONLY: lambda base: _single_modality(base, text_source="none"),
    PROBE: lambda base: _single_modality(base, text_source="none"),
    TEXT_ONLY: lambda base: _single_modality(base, use_audio=False),
    GOLD: lambda base: replace(base, data=replace(base.data, text_source="gold")),
    RECOGNIZED: lambda base: replace(base, data=replace(base.data, text_source="recognized")),
    FROZEN: _frozen,
    LORA: lambda base: _adapters(base, base.encoders.lora_rank),
    FINE_TUNED: lambda base: _adapters(base, 0),
}
