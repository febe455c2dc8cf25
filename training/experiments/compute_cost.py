"""The cost of a table, computed for a GPU that is not here: from what the networks multiply and keep.

Only matrix products and convolutions count, at a share of the GPU's peak; reading data, waiting and all other
operations are in that share. What is computed is an estimate, and is called so wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from ..augmentation.pipeline import longest_augmented_s
from .ablations import experiment_for_row, trains_network
from .cost import FitCost, TableCost, fits_of, in_groups, kept_files, name_of
from .count_operations import FitWork, work_of
from .experiment import Experiment
from .gpus import Gpu
from .table_rows import TableRow, parse_row

_PADDING: Final = 1.15
"""Padded seconds to seconds in batches of a number of examples of similar length."""
_FILLED: Final = 0.9
"""Of `batch_seconds`, by whole clips and without padding."""
_READ_BYTES_S: Final = 2e9
"""Of cached features, from disk or memory to the GPU: with frozen encoders a step waits for little else."""
_CONTEXT_BYTES: Final = 2**30
"""Of CUDA, its libraries and their work space."""


@dataclass(frozen=True, slots=True)
class CorpusSize:
    """clips of `seconds` on average, with so many tokens of text; cut into `folds`."""

    clips: int
    seconds: float
    tokens: int
    folds: int


def compute_table(
    experiment: Experiment, rows: Sequence[TableRow], corpus: CorpusSize, gpu: Gpu, utilisation: float
) -> TableCost:
    """utilisation: the share of the GPU's peak that training reaches, 0 to 1."""
    trained = [row for row in rows if trains_network(experiment, row)]
    groups = in_groups((_kind(experiment_for_row(experiment, row)), row.name) for row in trained)
    speed = 1e12 * gpu.tflops[gpu.precision] * utilisation
    kinds, cached, once_s = [], 0, 0.0
    for names in groups.values():
        variant = experiment_for_row(experiment, parse_row(names[0]))
        work = work_of(variant, corpus.seconds, corpus.tokens)
        in_a_fold = sum(fits_of(parse_row(name), trained, experiment) for name in names)
        count = round(corpus.folds * in_a_fold)
        kinds.append(_fit_cost(variant, work, corpus, speed, name_of(names), count))
        if variant.data.cache_features:
            cached = max(cached, variant.data.views * corpus.clips * (work.audio.states + work.text.states))
            forward = variant.data.views * corpus.clips * (work.audio.forward + work.text.forward)
            once_s = max(once_s, forward / speed)
    cached += round(corpus.clips * corpus.seconds * 32_000)  # decoded sound, 16 bits at 16 kHz
    fits = sum(kind.fits for kind in kinds)
    kept = kept_files(experiment.keep_weights, corpus.folds, len(experiment.seeds), fits)
    source = (
        f"computed for {gpu.name.upper()} ({gpu.tflops[gpu.precision]:g} TFLOP/s in {gpu.precision}, "
        f"{100 * utilisation:.0f} % of it assumed; {gpu.memory_gib} GiB), not measured; {corpus.clips} "
        f"clips, {corpus.seconds:g} s on average assumed"
    )
    return TableCost(tuple(kinds), kept, cached, source, once_s)


def _kind(variant: Experiment) -> str:
    """What decides the operations; not alpha, rates and names."""
    trainer = replace(variant.trainer, learning_rate=0, encoder_rate=0, weight_decay=0)
    return msgspec.json.encode((variant.model, variant.data, trainer)).decode()


def _fit_cost(
    variant: Experiment, work: FitWork, corpus: CorpusSize, speed: float, name: str, fits: int
) -> FitCost:
    trainer, data = variant.trainer, variant.data
    share = (corpus.folds - 1) / corpus.folds
    train = corpus.clips * share * (1 - variant.validation_share)
    validation, test = corpus.clips * share * variant.validation_share, corpus.clips * (1 - share)
    longest_s = min(longest_augmented_s(corpus.seconds, data.augment), data.max_seconds)
    clips_a_step = (
        trainer.batch_seconds * _FILLED / longest_s if trainer.batch_seconds else float(trainer.batch)
    )
    padded = 1 / _FILLED if trainer.batch_seconds else _PADDING
    steps = max(1, round(train / clips_a_step))
    # A batch that is computed in parts takes one more forward pass.
    operations = work.training + (work.forward if trainer.accumulation > 1 else 0)
    in_parts = clips_a_step * padded / trainer.accumulation
    reading_s = (work.audio.states + work.text.states) / _READ_BYTES_S if data.cache_features else 0.0
    # Activations are in half precision.
    memory = work.static_bytes + in_parts * work.kept_bytes / 2 + _CONTEXT_BYTES
    return FitCost(
        name=name,
        fits=fits,
        epochs=trainer.epochs,
        steps=trainer.epochs * steps,
        step_s=clips_a_step * padded * (operations / speed + reading_s),
        validation_s=validation * (work.forward / speed + reading_s),
        final_s=(validation + test) * (work.forward / speed + reading_s),
        memory=round(memory),
        weights=4 * work.trained,
        snapshot=4 * work.trained * (4 if trainer.average_decay else 3),
    )
