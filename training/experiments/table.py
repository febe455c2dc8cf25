"""Runs all rows, folds and seeds of a table, one after another or in worker processes; resumable at any
time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import product
from multiprocessing.connection import wait

import torch
from rich.progress import Progress

from ..errors import SettingsError
from ..evaluation.predictions import FoldPredictions
from ..trainer.callbacks import NoCallback, ProgressBarCallback
from ..trainer.runtime import make_accelerator
from .prepare_table import PreparedTable, TableRequest, prepare_table
from .run import end_fold, run_fold
from .table_rows import BASELINE, TableRow, swept_rows

RowsOfFold = Callable[[str], Sequence[TableRow]]
"""The name of a fold -> the rows to run."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What one process runs without a break. fold: its place. rows: those first that others start from."""

    fold: int
    seed: int
    rows: tuple[TableRow, ...]


def run_table(
    request: TableRequest, prepared: PreparedTable, bars: Progress, workers: int = 1
) -> list[FoldPredictions]:
    """The predictions of all runs; those that an earlier call finished are read from disk.

    workers: processes on this machine's cores; each runs one fold and seed at a time.
    """
    # Accelerate collects garbage after every fit; the prepared objects need not be searched for it.
    gc.freeze()
    task = bars.add_task("fits", total=count_fits(request, len(prepared.folds)), loss="", metrics="")
    results: list[FoldPredictions] = []

    def run(seeds: Sequence[int], rows_of_fold: RowsOfFold) -> None:
        jobs = [
            _Job(fold, seed, tuple(rows_of_fold(prepared.folds[fold].name)))
            for fold, seed in product(range(len(prepared.folds)), seeds)
        ]
        for finished in (
            _run_in_workers(request, jobs, workers) if workers > 1 else _run_in_process(prepared, bars, jobs)
        ):
            results.extend(finished)
            bars.update(task, completed=len(results))
            if not bars.console.is_terminal:  # progress bars would not be visible
                for result in finished:
                    bars.console.print(
                        f"{result.name}: validation UA {result.validation_ua:.3f}, {result.seconds:.0f} s"
                    )

    rows = baseline_first(request.rows)
    swept, further = _sweep_and_further_seeds(request)
    run(swept, lambda _: rows)
    if further:
        sweep = list(results)
        run(further, lambda fold: swept_rows(rows, (result for result in sweep if result.fold == fold)))
    order = {row.name: number for number, row in enumerate(request.rows)}
    return sorted(results, key=lambda result: (order[result.row], result.fold, result.seed))


def count_fits(request: TableRequest, folds: int) -> int:
    """How many fits the table has; rows that equal the baseline, which take no time, among them."""
    swept, further = _sweep_and_further_seeds(request)
    contrastive = [row for row in request.rows if row.group == "contrastive"]
    chosen = len({(row.base, row.objective) for row in contrastive})
    each = len(request.rows) - len(contrastive) + chosen
    return folds * (len(swept) * len(request.rows) + len(further) * each)


def baseline_first(rows: Sequence[TableRow]) -> list[TableRow]:
    """The rows with those first whose weights others start from. Raises ValueError where one is missing."""
    names = {row.name for row in rows}
    bases = {row.base for row in rows} - {None}
    if missing := sorted(base for base in bases if base is not None and base not in names):
        raise ValueError(f"expected the row {missing[0]} among the rows that start from its weights")
    first = {BASELINE, *bases}
    return [row for row in rows if row.name in first] + [row for row in rows if row.name not in first]


def _sweep_and_further_seeds(request: TableRequest) -> tuple[Sequence[int], Sequence[int]]:
    """The seeds that all alphas run with, and those of the chosen ones alone."""
    experiment = request.experiment
    count = experiment.sweep_seeds or len(experiment.seeds)
    return experiment.seeds[:count], experiment.seeds[count:]


def _run_in_process(
    prepared: PreparedTable, bars: Progress, jobs: Sequence[_Job]
) -> Iterator[list[FoldPredictions]]:
    for job in jobs:
        fold = prepared.folds[job.fold]
        for row in job.rows:
            bar = ProgressBarCallback(bars, f"{row.name}, fold {fold.name}, seed {job.seed}")
            yield [run_fold(prepared.context, row, fold, job.seed, bar)]
            bar.remove()
        end_fold(prepared.context, fold, job.seed)


def _run_in_workers(
    request: TableRequest, jobs: Sequence[_Job], workers: int
) -> Iterator[list[FoldPredictions]]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start_worker, (request, threads)) as pool:
        try:
            for done in as_completed([pool.submit(_run_job, job) for job in jobs]):
                yield done.result()
        except BrokenProcessPool as error:
            raise SettingsError(
                f"expected {workers} workers to live, one was killed: go on with fewer --workers"
            ) from error
        except BaseException:
            # After an error or Ctrl-C the other workers are stopped; their runs resume in the next call.
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


class _Worker:
    """What a worker process prepared when it started."""

    request: TableRequest
    prepared: PreparedTable


def _start_worker(request: TableRequest, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and terminates its workers
    threading.Thread(target=_exit_with_parent, name="parent", daemon=True).start()
    torch.set_num_threads(threads)
    _Worker.request = request
    trainer = request.experiment.trainer
    accelerator = make_accelerator(trainer.precision, cpu=request.cpu, tf32=trainer.tf32)
    _Worker.prepared = prepare_table(request, accelerator, _ignore_progress)
    gc.freeze()


def _exit_with_parent() -> None:
    """Ends a worker whose parent was killed: it would write to the same files as the next command."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run_job(job: _Job) -> list[FoldPredictions]:
    context, fold = _Worker.prepared.context, _Worker.prepared.folds[job.fold]
    results = [run_fold(context, row, fold, job.seed, NoCallback()) for row in job.rows]
    end_fold(context, fold, job.seed)
    return results


def _ignore_progress(name: str, done: int, total: int) -> None:
    """The main process has already prepared everything and shown the progress."""
