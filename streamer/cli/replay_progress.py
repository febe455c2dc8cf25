"""What a person sees of a replay: a progress bar, and a line for each recording that is done."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..display_paths import printable
from ..plurals import counted
from ..replay.discovery import ReplayJob
from ..replay.outputs import ReplayOutcome
from .amounts import length, times_real_time
from .console import print_line


@contextmanager
def progress_bar(console: Console, jobs: Sequence[ReplayJob]) -> Iterator[Callable[[float], None]]:
    """A bar over all audio, with its speed; yields a callback that takes seconds of audio.

    Nothing is drawn if the console is no terminal, results go to the terminal, or a duration is unknown.
    """
    durations = [job.seconds for job in jobs]
    if not console.is_terminal or None in durations or sys.stdout.isatty():
        yield lambda _: None
        return
    total = sum(seconds for seconds in durations if seconds is not None)
    columns = (BarColumn(), TextColumn("{task.percentage:3.0f}%"), TextColumn("{task.fields[speed]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("replay", total=total, speed="")

        def advance(seconds: float) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, advance=seconds, speed="" if speed is None else f"{speed:.0f} x real time")

        yield advance


def outcome_reporter(console: Console, total: int) -> Callable[[ReplayOutcome], None]:
    """A callback that prints a line for each recording that was read to its end, with its number of `total`,
    and for each thing that is unusual about a recording.
    """
    numbers = itertools.count(1)

    def report(outcome: ReplayOutcome) -> None:
        number = f"{next(numbers)}/{total} " if total > 1 else ""
        for note in outcome.notes:
            print_line(console, f"note: {printable(note)}")
        if outcome.totals is not None:
            print_line(console, f"{number}{printable(outcome.job.path)}: {_summary(outcome)}")

    return report


def already(done: int, total: int, what: str) -> str:
    """What `--resume` leaves out. what: that they have, such as `a result`."""
    return f"{done} of {counted(total, 'recording')} {'has' if total == 1 else 'have'} {what} already."


def total_line(outcomes: Sequence[ReplayOutcome], unreadable: int, seconds: float) -> str:
    """What became of several recordings, and how fast.

    unreadable: those that were not begun. seconds: that it took, without the start of the models.
    """
    totals = [outcome.totals for outcome in outcomes if outcome.totals is not None]
    failed = unreadable + sum(outcome.failure is not None for outcome in outcomes)
    audio_s = sum(each.audio_ms for each in totals) / 1_000
    found = sum(each.utterances for each in totals)
    recordings = counted(len(outcomes) + unreadable, "recording")
    return (
        f"{recordings}, {counted(found, 'utterance')}, {failed} failed; "
        f"{length(audio_s)} of audio in {length(seconds)} ({times_real_time(audio_s, seconds)})"
    )


def _summary(outcome: ReplayOutcome) -> str:
    assert outcome.totals is not None
    totals, failed = outcome.totals, outcome.failed
    found = counted(totals.utterances, "utterance")
    audio = f"{totals.audio_ms / 1_000:.1f} s of audio"
    if outcome.gaps:
        audio += f", with {counted(outcome.gaps, 'gap')} of {totals.dropped_ms / 1_000:.1f} s"
    if failed:
        return f"{found} in {audio}, {failed} more without a result"
    if not totals.utterances:
        return f"no utterances in {audio}: no speech was found"
    return f"{found} in {audio}"
