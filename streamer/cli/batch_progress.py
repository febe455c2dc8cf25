"""How far a batch job has come, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..clock import Clock
from ..plurals import counted
from .amounts import length, time_left, times_real_time
from .console import print_line

_LINE_EVERY_S: Final = 10.0
_MOST_MESSAGES: Final = 10


class CompletedShard(Protocol):
    """What is counted of a shard; see `cluster.batch.shard_record.ShardRecord`."""

    @property
    def recordings(self) -> tuple[str, ...]: ...
    @property
    def complete(self) -> int: ...
    @property
    def audio_s(self) -> float: ...
    @property
    def utterances(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def messages(self) -> tuple[str, ...]: ...


class BatchProgress:
    """Counts completed shards: a progress bar in a terminal, otherwise a line every 10 s.

    total: recordings. complete: recordings without an error. messages: of the first errors.
    """

    def __init__(self, total: int, console: Console, clock: Clock) -> None:
        self.recordings = 0
        self.complete = 0
        self.utterances = 0
        self.errors = 0
        self.messages: list[str] = []
        self._total = total
        self._audio_s = 0.0
        self._console = console
        self._clock = clock
        self._began = self._last_line = clock.now()
        self._bar: Progress | None = None

    @contextmanager
    def displayed(self) -> Iterator[None]:
        self._began = self._last_line = self._clock.now()
        if not self._console.is_terminal:
            yield
            return
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True) as self._bar:
            self._task = self._bar.add_task("batch", total=self._total, speed="")
            yield

    def add(self, shard: CompletedShard) -> None:
        self.recordings += len(shard.recordings)
        self.complete += shard.complete
        self.utterances += shard.utterances
        self.errors += shard.errors
        self._audio_s += shard.audio_s
        self.messages += shard.messages[: _MOST_MESSAGES - len(self.messages)]
        if self._bar is not None:
            speed = f"{length(self._audio_s)} of audio, {times_real_time(self._audio_s, self._seconds)}"
            self._bar.update(self._task, advance=len(shard.recordings), speed=speed)
        elif self._clock.now() >= self._last_line + _LINE_EVERY_S:
            self._last_line = self._clock.now()
            left = time_left(self.recordings, self._total, self._seconds)
            parts = [f"{self.recordings}/{self._total} {self._pace}", *([left] if left else [])]
            print_line(self._console, ", ".join(parts))

    def summarize(self, errors_in: str) -> None:
        """Print the final line. errors_in: where the errors table is."""
        where = f" ({errors_in})" if self.errors else ""
        print_line(
            self._console,
            f"{counted(self.recordings, 'recording')}, {counted(self.utterances, 'utterance')}, "
            f"{counted(self.errors, 'error')}{where}; {self._pace}",
        )

    @property
    def _seconds(self) -> float:
        return max(1e-3, self._clock.now() - self._began)

    @property
    def _pace(self) -> str:
        speed = times_real_time(self._audio_s, self._seconds)
        return f"{length(self._audio_s)} of audio in {length(self._seconds)} ({speed})"
