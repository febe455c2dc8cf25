"""`emostream replay --ray`: an archive on a cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer
from msgspec.structs import asdict, replace
from rich.console import Console

from emostream.models import ModelError

from ..clock import WallClock
from ..config import Settings
from ..display_paths import shown
from ..errors import EmostreamError
from ..output.formats import FORMATS
from .batch_options import RayFlags
from .batch_progress import Tally
from .replay_sinks import tell

if TYPE_CHECKING:
    from emostream.streamer.cluster.batch.discovery import Recording
    from emostream.streamer.cluster.batch.job import WorkerPool
    from emostream.streamer.cluster.batch.output_store import Asked, OutputStore
    from emostream.streamer.cluster.batch.shard_record import BatchFormat
    from emostream.streamer.cluster.batch.shard_runner import JobSpec


def replay_on_ray(
    places: Sequence[str],
    out: str,
    form: BatchFormat,
    flags: RayFlags,
    settings: Settings,
    language: str | None,
    jobs: int,
    *,
    recorded_segmentation: bool,
    resume: bool,
) -> None:
    """Ends with typer.Exit where the status is not 0. Raises ConfigError and ClusterError."""
    from emostream.streamer.cluster.ray_cluster import require_ray

    require_ray("--ray")
    FORMATS[form].require()
    from emostream.streamer.cluster.batch.discovery import find_recordings
    from emostream.streamer.cluster.batch.output_store import OutputStore
    from emostream.streamer.cluster.batch.shard_record import addresses_in
    from emostream.streamer.cluster.batch.shard_runner import JobSpec

    console = Console(stderr=True)
    with console.status("Looking for recordings ..."):
        found, unreadable = find_recordings(places)
    tell(unreadable)
    if not found:
        raise typer.Exit(2)
    settings = replace(settings, models=flags.on_workers(settings.models))
    catalogue = OutputStore(out, form)
    asked = _asked(settings, language, recorded_segmentation=recorded_segmentation)
    done, run = catalogue.begin(asked, {one.address for one in found}, resume=resume)
    orders = JobSpec(
        catalogue.storage.absolute_uri, form, settings, language, recorded_segmentation, jobs, run
    )
    todo = _left_to_do(found, addresses_in(done), console)
    tally = Tally(len(todo), console, WallClock())
    try:
        if todo:
            _run(todo, catalogue, orders, flags, tally, console)
    except KeyboardInterrupt:
        raise _interrupted(tally, len(todo)) from None
    catalogue.end()
    _end(tally, f"{shown(out)}/errors", failed=bool(unreadable), anything=bool(todo))


def _left_to_do(found: Sequence[Recording], done: set[str], console: Console) -> list[Recording]:
    todo = [recording for recording in found if recording.address not in done]
    if len(todo) < len(found):
        console.print(
            f"{len(found) - len(todo)} of {len(found)} recordings have a result already.", highlight=False
        )
    return todo


def _run(
    todo: Sequence[Recording],
    catalogue: OutputStore,
    orders: JobSpec,
    flags: RayFlags,
    tally: Tally,
    console: Console,
) -> None:
    from emostream.streamer.cluster.batch.job import judged, room
    from emostream.streamer.cluster.batch.shards import BATCH, make_shards
    from emostream.streamer.cluster.ray_cluster import connected
    from emostream.streamer.cluster.ray_logging import silence_startup

    assert flags.address is not None
    with ExitStack() as stack:
        with silence_startup():
            stack.enter_context(connected(flags.address))
        stack.enter_context(_interrupted_by_sigterm())
        pool = room(flags.cpus, flags.gpus, flags.workers)
        console.print(f"Ray: {_said(pool)}. {len(todo)} recordings.", highlight=False)
        parts = list(make_shards(todo, flags.batch or BATCH, pool.workers))
        # Closed before Ray is: its threads still deal out parts where this ends early.
        notes = stack.enter_context(closing(judged(parts, orders, pool)))
        try:
            with tally.shown():
                for note in notes:
                    catalogue.accept(note)
                    tally.add(note)
        except KeyboardInterrupt:
            _leave(_interrupted(tally, len(todo)))
        except (EmostreamError, ModelError) as error:
            tell([str(error)])
            _leave(typer.Exit(2))


def _interrupted(tally: Tally, recordings: int) -> typer.Exit:
    tell([f"interrupted; {tally.recordings} of {recordings} recordings are done: --resume goes on"])
    return typer.Exit(130)


def _leave(end: typer.Exit) -> NoReturn:
    """While parts are dealt out Ray's goodbye races with its own threads, and may end this process with a
    status of its own. On Linux what Ray has started here ends with this process in any case.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "linux":
        os._exit(end.exit_code)
    raise end


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C: schedulers end programs so. Ray, which has a handler of its own, says nothing."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _asked(settings: Settings, language: str | None, *, recorded_segmentation: bool) -> Asked:
    """What results depend on; the device is where they are made."""
    asked: dict[str, str | int | float | bool | None] = {
        f"{section}.{name}": value
        for section, values in (
            ("models", asdict(settings.models)),
            ("vad", asdict(settings.vad)),
            ("segmenter", asdict(settings.segmenter)),
        )
        for name, value in values.items()
    }
    del asked["models.device"]
    return {**asked, "language": language, "kept sessions as they were cut": recorded_segmentation}


def _said(pool: WorkerPool) -> str:
    workers = "1 worker" if pool.workers == 1 else f"{pool.workers} workers"
    return f"{workers} on 1 node" if pool.nodes == 1 else f"{workers} on {pool.nodes} nodes"


def _end(tally: Tally, errors_in: str, *, failed: bool, anything: bool) -> None:
    tally.sum_up(errors_in)
    tell(tally.told)
    if tally.errors > len(tally.told):
        tell([f"and {tally.errors - len(tally.told)} more: {errors_in}"])
    if tally.errors or failed:
        raise typer.Exit(1 if tally.whole or not anything else 2)
