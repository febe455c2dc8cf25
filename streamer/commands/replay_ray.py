"""`emostream replay --ray`: an archive on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from ..clock import WallClock
from ..config import Settings
from ..file_names import shown
from ..formats import FORMATS
from .ray_flags import RayFlags
from .replay_outputs import tell
from .replay_tally import Tally

if TYPE_CHECKING:
    from emostream.cluster.archive import Pool
    from emostream.cluster.catalogue import ArchiveFormat, Note
    from emostream.cluster.places import Recording
    from emostream.cluster.playing import Orders


def replay_on_ray(
    places: Sequence[str],
    out: str,
    form: ArchiveFormat,
    flags: RayFlags,
    settings: Settings,
    language: str | None,
    jobs: int,
    *,
    as_kept: bool,
    resume: bool,
) -> None:
    """Ends with typer.Exit where the status is not 0. Raises ConfigError and ClusterError."""
    from emostream.cluster.connection import require_ray

    require_ray("--ray")
    FORMATS[form].require()
    from emostream.cluster.catalogue import Catalogue, recordings_in
    from emostream.cluster.places import find_recordings
    from emostream.cluster.playing import Orders

    console = Console(stderr=True)
    with console.status("Looking for recordings ..."):
        found, unreadable = find_recordings(places)
    tell(unreadable)
    if not found:
        raise typer.Exit(2)
    catalogue = Catalogue(out, form)
    done, run = catalogue.begin(resume=resume)
    orders = Orders(catalogue.storage.whole_place, form, settings, language, as_kept, jobs, run)
    todo = _left_to_do(found, recordings_in(done), console)
    tally = Tally(len(todo), console, WallClock())
    try:
        if todo:
            _run(todo, done, orders, flags, tally, console)
    except KeyboardInterrupt:
        tell([f"interrupted; {tally.recordings} of {len(todo)} recordings are done: --resume goes on"])
        raise typer.Exit(130) from None
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
    done: Sequence[Note],
    orders: Orders,
    flags: RayFlags,
    tally: Tally,
    console: Console,
) -> None:
    from emostream.cluster.archive import judged, room
    from emostream.cluster.connection import connected
    from emostream.cluster.parts import BATCH, grouped
    from emostream.cluster.quiet import quiet_start

    assert flags.address is not None
    with ExitStack() as stack:
        with quiet_start():
            stack.enter_context(connected(flags.address))
        pool = room(flags.cpus, flags.gpus, flags.workers)
        console.print(f"Ray: {_said(pool)}. {len(todo)} recordings.", highlight=False)
        parts = list(grouped(todo, flags.batch or BATCH, pool.workers))
        with tally.shown():
            for note in judged(parts, orders, pool, done):
                tally.add(note)


def _said(pool: Pool) -> str:
    workers = "1 worker" if pool.workers == 1 else f"{pool.workers} workers"
    return f"{workers} on 1 node" if pool.nodes == 1 else f"{workers} on {pool.nodes} nodes"


def _end(tally: Tally, errors_in: str, *, failed: bool, anything: bool) -> None:
    tally.sum_up(errors_in)
    tell(tally.told)
    if tally.errors > len(tally.told):
        tell([f"and {tally.errors - len(tally.told)} more: {errors_in}"])
    if tally.errors or failed:
        raise typer.Exit(1 if tally.whole or not anything else 2)
