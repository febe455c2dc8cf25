"""`emostream batch`: an archive of recordings on a Ray cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Literal, NoReturn

import typer
from msgspec.structs import asdict, replace
from rich.console import Console

from emostream.models import ModelError

from ..clock import WallClock
from ..config import Settings
from ..display_paths import printable
from ..errors import ConfigError, EmostreamError
from ..output.formats import FORMATS
from ..plurals import counted
from ..replay.runner import ReplayOptions
from .batch_options import WorkerOptions
from .batch_progress import BatchProgress
from .console import print_failures, print_line
from .options import AudioOptions, ModelOptions
from .replay_progress import already

if TYPE_CHECKING:
    from emostream.streamer.cluster.batch.discovery import RecordingRef
    from emostream.streamer.cluster.batch.job import WorkerPool
    from emostream.streamer.cluster.batch.output_store import OutputStore, ResultSettings
    from emostream.streamer.cluster.batch.shard_runner import JobSpec


def batch(
    *,
    inputs: list[str],
    output_dir: str,
    address: str,
    form: Literal["jsonl", "parquet"],
    resume: bool,
    language: str | None,
    audio: AudioOptions,
    worker: WorkerOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.batch` has its options."""
    settings = models.recording_settings(audio=audio.section())
    worker.check(settings.models.device)
    _check_address(address)
    from emostream.streamer.cluster.ray_cluster import require_ray

    require_ray("emostream batch")
    FORMATS[form].require()
    from emostream.streamer.cluster.batch.discovery import find_recordings
    from emostream.streamer.cluster.batch.output_store import OutputStore
    from emostream.streamer.cluster.batch.shard_record import addresses_in
    from emostream.streamer.cluster.batch.shard_runner import JobSpec

    console = Console(stderr=True)
    with console.status("Looking for recordings ..."):
        found, unreadable = find_recordings(inputs)
    print_failures(unreadable)
    if not found:
        raise typer.Exit(2)
    settings = replace(settings, models=worker.worker_models(settings.models))
    options = ReplayOptions(
        jobs=worker.jobs,
        language=language,
        recorded_segmentation=models.recorded_segmentation,
        recorded_adapt=models.recorded_adapt,
        recorded_channels=audio.channels is None and models.config is None,
    )
    store = OutputStore(output_dir, form)
    done, run_token = store.begin(
        _result_settings(settings, options), {one.address for one in found}, resume=resume
    )
    spec = JobSpec(store.storage.absolute_uri, form, settings, options, run_token)
    todo = _without(found, addresses_in(done), console)
    progress = BatchProgress(len(todo), console, WallClock())
    try:
        if todo:
            _run(todo, store, spec, address, worker, progress, console)
    except KeyboardInterrupt:
        raise _interrupted(progress, len(todo)) from None
    store.end()
    _exit(progress, f"{printable(output_dir)}/errors", unreadable=bool(unreadable), anything=bool(todo))


def _check_address(address: str) -> None:
    """Raises ConfigError."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"expected HOST:PORT of a cluster that this machine is part of, got {address}, which Ray Data "
            "does not support; run this on a machine of the cluster (`ray job submit`)"
        )


def _without(found: Sequence[RecordingRef], done: set[str], console: Console) -> list[RecordingRef]:
    todo = [recording for recording in found if recording.address not in done]
    if len(todo) < len(found):
        print_line(console, already(len(found) - len(todo), len(found), "a result"))
    return todo


def _run(
    todo: Sequence[RecordingRef],
    store: OutputStore,
    spec: JobSpec,
    address: str,
    worker: WorkerOptions,
    progress: BatchProgress,
    console: Console,
) -> None:
    from emostream.streamer.cluster.batch.job import plan_workers, run_shards
    from emostream.streamer.cluster.batch.shards import make_shards
    from emostream.streamer.cluster.ray_cluster import connect_to_ray
    from emostream.streamer.cluster.ray_logging import silence_startup

    with ExitStack() as stack:
        with silence_startup():
            stack.enter_context(connect_to_ray(address))
        stack.enter_context(_sigterm_as_interrupt())
        pool = plan_workers(worker.cpus, worker.gpus, worker.workers)
        print_line(console, f"Ray: {_describe(pool)}. {counted(len(todo), 'recording')}.")
        shards = list(make_shards(todo, worker.shard_size, pool.workers))
        # Closed before Ray is: its threads still hand out shards when this ends early.
        records = stack.enter_context(closing(run_shards(shards, spec, pool)))
        try:
            with progress.displayed():
                for record in records:
                    store.accept(record)
                    progress.add(record)
        except KeyboardInterrupt:
            _exit_at_once(_interrupted(progress, len(todo)))
        except (EmostreamError, ModelError) as error:
            print_failures([str(error)])
            _exit_at_once(typer.Exit(2))


def _interrupted(progress: BatchProgress, recordings: int) -> typer.Exit:
    print_failures(
        [f"interrupted; {progress.recordings} of {counted(recordings, 'recording')} done: --resume goes on"]
    )
    return typer.Exit(130)


def _exit_at_once(end: typer.Exit) -> NoReturn:
    """While shards are handed out, Ray's shutdown races with its own threads and may end this process with
    an exit status of its own. On Linux what Ray started here ends with this process anyway.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "linux":
        os._exit(end.exit_code)
    raise end


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM, which schedulers send, like Ctrl-C; Ray's own handler would exit without a message."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _result_settings(settings: Settings, options: ReplayOptions) -> ResultSettings:
    """What results depend on; the device is not among it."""
    asked: dict[str, str | int | float | bool | None] = {
        f"{section}.{name}": value
        for section, values in (
            ("audio", asdict(settings.audio)),
            ("models", asdict(settings.models)),
            ("vad", asdict(settings.vad)),
            ("segmenter", asdict(settings.segmenter)),
            ("speaker", asdict(settings.speaker)),
        )
        for name, value in values.items()
    }
    del asked["models.device"]
    return {
        **asked,
        "language": options.language,
        "recorded_segmentation": options.recorded_segmentation,
        "recorded_adapt": options.recorded_adapt,
        "recorded_channels": options.recorded_channels,
    }


def _describe(pool: WorkerPool) -> str:
    return f"{counted(pool.workers, 'worker')} on {counted(pool.nodes, 'node')}"


def _exit(progress: BatchProgress, errors_in: str, *, unreadable: bool, anything: bool) -> None:
    """Print the summary. Raises typer.Exit where something failed. anything: whether there was work to do."""
    progress.summarize(errors_in)
    print_failures(progress.messages)
    if progress.errors > len(progress.messages):
        print_failures([f"and {progress.errors - len(progress.messages)} more: {errors_in}"])
    if progress.errors or unreadable:
        raise typer.Exit(1 if progress.complete or not anything else 2)
