"""All cells of a table, lines x folds x seeds: in turn or by several workers, resumed at any time."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import msgspec
import torch
from accelerate import Accelerator
from rich.progress import Progress

from emostream.models import Transcriber, load_transcriber

from ..corpora.example import Example
from ..corpora.leaks import Unit
from ..emotion.blueprint import Blueprint
from ..errors import SettingsError
from ..evaluation.outcomes import Outcome
from ..loop.fit import make_accelerator
from ..loop.watch import Bar, Unwatched
from ..preparation.features import fingerprint
from .cell import Bench, run_cell
from .experiment import Experiment
from .folds import Fold, make_folds
from .gathering import Helpers, Seen, chosen_examples, gather, numbered_labels
from .rows import BASELINE, Row
from .variant import starts_from_baseline, variant

_EXPERIMENT: Final = "experiment.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be run. It can be sent to another process.

    units: what parts must not share. rows: lines of the table. asr: the transcriber, as `load_transcriber`
    takes it. work: caches, snapshots and outcomes. cpu: even where there is a GPU.
    """

    experiment: Experiment
    examples: tuple[Example, ...]
    units: tuple[Unit, ...]
    rows: tuple[Row, ...]
    asr: str
    work: Path
    cpu: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with everything read and computed that its cells share."""

    bench: Bench
    folds: list[Fold]


def prepare(request: Request, accelerator: Accelerator, seen: Seen) -> Prepared:
    """Reads, checks and computes; whatever is wrong with corpus or settings is said here, before any step."""
    experiment = request.experiment
    chosen = chosen_examples(request.examples, experiment)
    labels = numbered_labels(chosen, experiment)
    folds = make_folds(
        chosen,
        experiment.protocol,
        labels,
        validation_share=experiment.validation_share,
        units=request.units,
    )
    variants = [variant(experiment, row) for row in request.rows]
    blueprint = Blueprint.read(experiment.model, experiment.labels)

    def transcriber() -> Transcriber:
        loaded = load_transcriber(request.asr)
        if loaded is None:
            raise SettingsError("expected a transcriber for `words = recognized`, got --asr none: name one")
        return loaded

    with accelerator.main_process_first():
        material = gather(chosen, variants, blueprint, Helpers(transcriber, request.work / "cache", seen))
    work = request.work / _name(experiment, chosen, blueprint)
    work.mkdir(parents=True, exist_ok=True)
    (work / _EXPERIMENT).write_text(msgspec.json.encode(experiment).decode() + "\n", encoding="utf-8")
    return Prepared(Bench(experiment, blueprint, material, labels, accelerator, work), folds)


def run_table(request: Request, prepared: Prepared, bars: Progress, workers: int = 1) -> list[Outcome]:
    """The outcomes of all cells; those that an earlier run left are taken from there.

    workers: processes on this machine's cores, each with a fold and seed of its own at a time.
    """
    # After each fit Accelerate collects garbage: what was prepared is none, and need not be searched.
    gc.freeze()
    seeds = request.experiment.seeds
    parts = list(product(range(len(prepared.folds)), seeds))
    total = len(parts) * len(request.rows)
    task = bars.add_task("fits", total=total, loss="", figures="")
    outcomes: list[Outcome] = []
    for found in (
        _in_parallel(request, parts, workers) if workers > 1 else _here(request, prepared, bars, parts)
    ):
        outcomes += found
        bars.update(task, completed=len(outcomes))
    order = {row.name: number for number, row in enumerate(request.rows)}
    return sorted(outcomes, key=lambda outcome: (order[outcome.row], outcome.fold, outcome.seed))


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Lines that start from the baseline's weights behind it. Raises ValueError where it is missing."""
    baseline = [row for row in rows if row.name == BASELINE]
    if not baseline and any(starts_from_baseline(row) for row in rows):
        raise ValueError(f"expected the line {BASELINE} among the lines that start from its weights")
    return baseline + [row for row in rows if row.name != BASELINE]


def _here(
    request: Request, prepared: Prepared, bars: Progress, parts: Sequence[tuple[int, int]]
) -> Iterator[list[Outcome]]:
    for (fold, seed), row in product(parts, ordered(request.rows)):
        name = f"{row.name}, fold {prepared.folds[fold].name}, seed {seed}"
        bar = Bar(bars, name)
        yield [run_cell(prepared.bench, row, prepared.folds[fold], seed, bar)]
        bar.remove()


def _in_parallel(request: Request, parts: Sequence[tuple[int, int]], workers: int) -> Iterator[list[Outcome]]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _begin, (request, threads)
    ) as pool:
        for done in as_completed([pool.submit(_part, fold, seed) for fold, seed in parts]):
            yield done.result()


class _Worker:
    """What a worker process prepared when it began."""

    request: Request
    prepared: Prepared


def _begin(request: Request, threads: int) -> None:
    torch.set_num_threads(threads)
    _Worker.request = request
    accelerator = make_accelerator(request.experiment.loop.precision, cpu=request.cpu)
    _Worker.prepared = prepare(request, accelerator, _nobody)
    gc.freeze()


def _part(fold: int, seed: int) -> list[Outcome]:
    prepared = _Worker.prepared
    return [
        run_cell(prepared.bench, row, prepared.folds[fold], seed, Unwatched())
        for row in ordered(_Worker.request.rows)
    ]


def _nobody(what: str, done: int, of: int) -> None:
    """The main process has prepared everything already, and shown it."""


def _name(experiment: Experiment, examples: Sequence[Example], blueprint: Blueprint) -> str:
    """Another folder where anything is different that an outcome depends on: more seeds or alphas are not."""
    same = msgspec.structs.replace(experiment, name="", note="", seeds=(0,), alphas=())
    digest = hashlib.sha256(msgspec.json.encode(same))
    digest.update(
        json.dumps([[e.key, e.emotion, e.emotion_orig, e.words, e.paired] for e in examples]).encode()
    )
    for encoder in (blueprint.template.audio_encoder, blueprint.template.text_encoder):
        digest.update(fingerprint(encoder).encode())
    return f"{experiment.name or 'experiment'}-{digest.hexdigest()[:10]}"
