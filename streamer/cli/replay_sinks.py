"""Where the results of `emostream replay` go, and what a person sees meanwhile."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..display_paths import shown
from ..errors import ConfigError, SourceError
from ..output.formats import FORMATS, FormatName
from ..pipeline.session import Sink
from ..replay.discovery import Pictures, ReplayJob, ReplayOutcome
from ..replay.runner import OutputSinks

SinkFor = Callable[[ReplayJob, ReplayOutcome], AbstractContextManager[Sink]]


def _open_output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    if path is None:
        return nullcontext(sys.stdout.buffer)
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(
            f"expected to write to {shown(path)}, got: {error.strerror}; choose another --output"
        ) from error


@contextmanager
def single_output(
    output: Path | None, form: FormatName, labels: Sequence[str], *, shared: bool
) -> Iterator[SinkFor]:
    """All recordings in one. shared: whether they are several."""
    with _open_output(output) as out, closing(FORMATS[form].begin(out, labels, shared)) as document:
        yield lambda job, outcome: nullcontext(document.add(shown(job.path)))


def outlets(
    sink_for: SinkFor, pictures: Pictures | None, labels: Sequence[str]
) -> Callable[[ReplayJob, ReplayOutcome], AbstractAsyncContextManager[OutputSinks]]:
    @asynccontextmanager
    async def outlet(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
        with sink_for(job, outcome) as sink:
            if pictures is None:
                yield OutputSinks([sink])
                return
            async with pictures.drawing(job, outcome, labels) as timeline:
                yield OutputSinks([sink, timeline], [timeline.hear])

    return outlet


@contextmanager
def progress(console: Console, jobs: Sequence[ReplayJob]) -> Iterator[Callable[[float], None]]:
    """A bar over all sound, with its speed, where somebody looks and it is known how much there is."""
    seconds = [job.seconds for job in jobs]
    if not console.is_terminal or None in seconds or sys.stdout.isatty():
        yield lambda _: None  # events in the terminal are progress enough
        return
    total = sum(one for one in seconds if one is not None)
    columns = (BarColumn(), TextColumn("{task.percentage:3.0f}%"), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("replay", total=total, speed="")

        def heard(more: float) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, advance=more, speed="" if speed is None else f"{speed:.0f} x real time")

        yield heard


def outcome_reporter(console: Console) -> Callable[[ReplayOutcome], None]:
    def told(outcome: ReplayOutcome) -> None:
        if outcome.totals is not None:
            said = f"{shown(outcome.job.path)}: {_summary(outcome)}"
            console.print(said, highlight=False, soft_wrap=True, markup=False)

    return told


def tell(failures: Sequence[SourceError | str]) -> None:
    """On stderr, a line each."""
    for failure in failures:
        print(f"emostream: {shown(str(failure))}", file=sys.stderr)


def _summary(outcome: ReplayOutcome) -> str:
    assert outcome.totals is not None
    totals, failed = outcome.totals, outcome.failed
    seconds = totals.audio_ms / 1_000
    if failed:
        return f"{totals.utterances} utterances in {seconds:.1f} s of sound, {failed} more have no result"
    if totals.utterances == 0:
        return f"no utterances in {seconds:.1f} s of sound: no speech was found"
    return f"{totals.utterances} utterances in {seconds:.1f} s of sound"
