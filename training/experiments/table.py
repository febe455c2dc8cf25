"""Runs all rows, folds and seeds of a table, one after another or in worker processes; resumable at any
time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import product
from multiprocessing.connection import wait

import torch
from rich.progress import Progress

from ..errors import SettingsError
from ..evaluation.predictions import FoldPredictions
from ..trainer.callbacks import NoCallback, ProgressBarCallback
from ..trainer.runtime import make_accelerator
from .ablations import starts_from_baseline
from .prepare_table import PreparedTable, TableRequest, prepare_table
from .run import run_fold
from .table_rows import BASELINE, TableRow


def run_table(
    request: TableRequest, prepared: PreparedTable, bars: Progress, workers: int = 1
) -> list[FoldPredictions]:
    """The predictions of all runs; those that an earlier call finished are read from disk.

    workers: processes on this machine's cores; each runs one fold and seed at a time.
    """
    # Accelerate collects garbage after every fit; the prepared objects need not be searched for it.
    gc.freeze()
    seeds = request.experiment.seeds
    jobs = list(product(range(len(prepared.folds)), seeds))
    total = len(jobs) * len(request.rows)
    task = bars.add_task("fits", total=total, loss="", metrics="")
    results: list[FoldPredictions] = []
    for finished in (
        _run_in_workers(request, jobs, workers)
        if workers > 1
        else _run_in_process(request, prepared, bars, jobs)
    ):
        results += finished
        bars.update(task, completed=len(results))
        if not bars.console.is_terminal:  # progress bars would not be visible
            for result in finished:
                bars.console.print(
                    f"{result.name}: validation UA {result.validation_ua:.3f}, {result.seconds:.0f} s"
                )
    order = {row.name: number for number, row in enumerate(request.rows)}
    return sorted(results, key=lambda result: (order[result.row], result.fold, result.seed))


def baseline_first(rows: Sequence[TableRow]) -> list[TableRow]:
    """The rows with the baseline first. Raises ValueError where it is missing and a row starts from its
    weights.
    """
    baseline = [row for row in rows if row.name == BASELINE]
    if not baseline and any(starts_from_baseline(row) for row in rows):
        raise ValueError(f"expected the row {BASELINE} among the rows that start from its weights")
    return baseline + [row for row in rows if row.name != BASELINE]


def _run_in_process(
    request: TableRequest, prepared: PreparedTable, bars: Progress, jobs: Sequence[tuple[int, int]]
) -> Iterator[list[FoldPredictions]]:
    for (fold, seed), row in product(jobs, baseline_first(request.rows)):
        name = f"{row.name}, fold {prepared.folds[fold].name}, seed {seed}"
        bar = ProgressBarCallback(bars, name)
        yield [run_fold(prepared.context, row, prepared.folds[fold], seed, bar)]
        bar.remove()


def _run_in_workers(
    request: TableRequest, jobs: Sequence[tuple[int, int]], workers: int
) -> Iterator[list[FoldPredictions]]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start_worker, (request, threads)) as pool:
        try:
            for done in as_completed([pool.submit(_run_job, fold, seed) for fold, seed in jobs]):
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


def _run_job(fold: int, seed: int) -> list[FoldPredictions]:
    prepared = _Worker.prepared
    return [
        run_fold(prepared.context, row, prepared.folds[fold], seed, NoCallback())
        for row in baseline_first(_Worker.request.rows)
    ]


def _ignore_progress(name: str, done: int, total: int) -> None:
    """The main process has already prepared everything and shown the progress."""
