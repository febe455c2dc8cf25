"""All cells of a table, lines x folds x seeds: in turn or by several workers, resumed at any time."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import product
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final

import msgspec
import torch
from accelerate import Accelerator
from rich.progress import Progress

from emostream.models import Transcriber, load_transcriber

from ..corpora.example import Example
from ..corpora.leakage import DisjointUnit
from ..data.frozen_features import fingerprint
from ..emotion.inputs import TrainingInputs
from ..emotion.model_factory import ModelFactory
from ..errors import SettingsError
from ..evaluation.predictions import FoldPredictions
from ..trainer.callbacks import NoCallback, ProgressBarCallback
from ..trainer.trainer import make_accelerator
from .ablations import starts_from_baseline, variant
from .experiment import Experiment, check_consistency
from .folds import Fold, make_folds
from .prepare_data import PreparationContext, Seen, gather, inputs_digest, label_indices, select_examples
from .run import RunContext, run_fold
from .table_rows import BASELINE, TableRow

_EXPERIMENT: Final = "experiment.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be run. It can be sent to another process.

    units: what parts must not share. rows: lines of the table. asr: the transcriber, as `load_transcriber`
    takes it. work: caches, snapshots and outcomes. cpu: even where there is a GPU.
    """

    experiment: Experiment
    examples: tuple[Example, ...]
    units: tuple[DisjointUnit, ...]
    rows: tuple[TableRow, ...]
    asr: str
    work: Path
    cpu: bool = False
    fold: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedTable:
    """A request with everything read and computed that its cells share.

    transcriber: the name of the one that recognized the words, None where none was asked.
    """

    context: RunContext
    folds: list[Fold]
    transcriber: str | None


def prepare(request: Request, accelerator: Accelerator, seen: Seen) -> PreparedTable:
    """Reads, checks and computes; whatever is wrong with corpus or settings is said here, before any step."""
    experiment = request.experiment
    chosen = select_examples(request.examples, experiment)
    labels = label_indices(chosen, experiment)
    folds = make_folds(
        chosen,
        experiment.protocol,
        labels,
        validation_share=experiment.validation_share,
        units=request.units,
    )
    if request.fold is not None:
        folds = [_named(request.fold, folds)]
    variants = [variant(experiment, row) for row in request.rows]
    for row, of_row in zip(request.rows, variants, strict=True):
        check_consistency(of_row, row.name)
    model_factory = ModelFactory.read(experiment.model, experiment.labels)
    for settings in {msgspec.json.encode(of_row.model): of_row.model for of_row in variants}.values():
        model_factory.new(settings, 0)  # sizes that build nothing are told now

    names: list[str] = []

    def transcriber() -> Transcriber:
        loaded = load_transcriber(request.asr)
        if loaded is None:
            raise SettingsError(
                "expected a transcriber for `text_source = recognized`, got --asr none: name one"
            )
        names.append(loaded.name)
        return loaded

    with accelerator.main_process_first():
        inputs = gather(
            chosen, variants, model_factory, PreparationContext(transcriber, request.work / "cache", seen)
        )
    work = request.work / _name(experiment, folds, inputs, model_factory)
    work.mkdir(parents=True, exist_ok=True)
    (work / _EXPERIMENT).write_text(msgspec.json.encode(experiment).decode() + "\n", encoding="utf-8")
    context = RunContext(experiment, model_factory, inputs, labels, accelerator, work)
    return PreparedTable(context, folds, names[0] if names else None)


def _named(name: str, folds: Sequence[Fold]) -> Fold:
    for fold in folds:
        if fold.name == name:
            return fold
    raise SettingsError(f"expected --fold to be one of {', '.join(fold.name for fold in folds)}, got {name}")


def run_table(
    request: Request, prepared: PreparedTable, bars: Progress, workers: int = 1
) -> list[FoldPredictions]:
    """The outcomes of all cells; those that an earlier run left are taken from there.

    workers: processes on this machine's cores, each with a fold and seed of its own at a time.
    """
    # After each fit Accelerate collects garbage: what was prepared is none, and need not be searched.
    gc.freeze()
    seeds = request.experiment.seeds
    parts = list(product(range(len(prepared.folds)), seeds))
    total = len(parts) * len(request.rows)
    task = bars.add_task("fits", total=total, loss="", metrics="")
    results: list[FoldPredictions] = []
    for found in (
        _in_parallel(request, parts, workers) if workers > 1 else _here(request, prepared, bars, parts)
    ):
        results += found
        bars.update(task, completed=len(results))
        if not bars.console.is_terminal:  # bars would not be seen
            for one in found:
                bars.console.print(f"{one.name}: validation UA {one.validation_ua:.3f}, {one.seconds:.0f} s")
    order = {row.name: number for number, row in enumerate(request.rows)}
    return sorted(results, key=lambda result: (order[result.row], result.fold, result.seed))


def ordered(rows: Sequence[TableRow]) -> list[TableRow]:
    """Lines that start from the baseline's weights behind it. Raises ValueError where it is missing."""
    baseline = [row for row in rows if row.name == BASELINE]
    if not baseline and any(starts_from_baseline(row) for row in rows):
        raise ValueError(f"expected the line {BASELINE} among the lines that start from its weights")
    return baseline + [row for row in rows if row.name != BASELINE]


def _here(
    request: Request, prepared: PreparedTable, bars: Progress, parts: Sequence[tuple[int, int]]
) -> Iterator[list[FoldPredictions]]:
    for (fold, seed), row in product(parts, ordered(request.rows)):
        name = f"{row.name}, fold {prepared.folds[fold].name}, seed {seed}"
        bar = ProgressBarCallback(bars, name)
        yield [run_fold(prepared.context, row, prepared.folds[fold], seed, bar)]
        bar.remove()


def _in_parallel(
    request: Request, parts: Sequence[tuple[int, int]], workers: int
) -> Iterator[list[FoldPredictions]]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _begin, (request, threads)) as pool:
        try:
            for done in as_completed([pool.submit(_part, fold, seed) for fold, seed in parts]):
                yield done.result()
        except BrokenProcessPool as error:
            raise SettingsError(
                f"expected {workers} workers to live, one was killed: go on with fewer --workers"
            ) from error
        except BaseException:
            # After an error or Ctrl-C nobody waits for the others: what they began goes on another time.
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


class _Worker:
    """What a worker process prepared when it began."""

    request: Request
    prepared: PreparedTable


def _begin(request: Request, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends its workers
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    torch.set_num_threads(threads)
    _Worker.request = request
    accelerator = make_accelerator(request.experiment.trainer.precision, cpu=request.cpu)
    _Worker.prepared = prepare(request, accelerator, _nobody)
    gc.freeze()


def _end_with_parent() -> None:
    """A worker whose parent was killed would write where the next command writes too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _part(fold: int, seed: int) -> list[FoldPredictions]:
    prepared = _Worker.prepared
    return [
        run_fold(prepared.context, row, prepared.folds[fold], seed, NoCallback())
        for row in ordered(_Worker.request.rows)
    ]


def _nobody(what: str, done: int, of: int) -> None:
    """The main process has prepared everything already, and shown it."""


def _name(
    experiment: Experiment, folds: Sequence[Fold], inputs: TrainingInputs, model_factory: ModelFactory
) -> str:
    """Another folder where anything is different that an outcome depends on: more seeds or alphas are not."""
    same = msgspec.structs.replace(experiment, name="", note="", seeds=(0,), alphas=())
    digest = hashlib.sha256(msgspec.json.encode(same))
    for fold in folds:
        for part in (fold.train, fold.validation, fold.test):
            held = [[e.key, e.emotion, e.emotion_orig, e.words, e.paired, e.speaker] for e in part]
            digest.update(json.dumps([fold.name, held]).encode())
    digest.update(inputs_digest(inputs).encode())
    for encoder in (model_factory.template.audio_encoder, model_factory.template.text_encoder):
        digest.update(fingerprint(encoder).encode())
    return f"{experiment.name or 'experiment'}-{digest.hexdigest()[:10]}"
