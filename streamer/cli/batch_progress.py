"""How far an archive has come, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..clock import Clock

_SAID_EVERY_S: Final = 10.0
_TOLD: Final = 10


class PartDone(Protocol):
    """See `cluster.catalogue.ShardRecord`."""

    @property
    def recordings(self) -> tuple[str, ...]: ...
    @property
    def whole(self) -> int: ...
    @property
    def audio_s(self) -> float: ...
    @property
    def utterances(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def told(self) -> tuple[str, ...]: ...


class Tally:
    """total: recordings. A bar where somebody looks, otherwise a line now and then."""

    def __init__(self, total: int, console: Console, clock: Clock) -> None:
        self.recordings = 0
        self.whole = 0
        self.utterances = 0
        self.errors = 0
        self.told: list[str] = []
        self._total = total
        self._audio_s = 0.0
        self._console = console
        self._clock = clock
        self._began = self._said = clock.now()
        self._bar: Progress | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        self._began = self._said = self._clock.now()
        if not self._console.is_terminal:
            yield
            return
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True) as self._bar:
            self._task = self._bar.add_task("replay", total=self._total, speed="")
            yield

    def add(self, part: PartDone) -> None:
        self.recordings += len(part.recordings)
        self.whole += part.whole
        self.utterances += part.utterances
        self.errors += part.errors
        self._audio_s += part.audio_s
        self.told += part.told[: _TOLD - len(self.told)]
        if self._bar is not None:
            speed = f"{self._audio_s / 3_600:.2f} h of sound, {self._speed:.0f} x real time"
            self._bar.update(self._task, advance=len(part.recordings), speed=speed)
        elif self._clock.now() >= self._said + _SAID_EVERY_S:
            self._said = self._clock.now()
            self._say(f"{self.recordings} of {self._total} recordings, {self._pace}")

    def sum_up(self, errors_in: str) -> None:
        """errors_in: where the errors table lies."""
        where = f" ({errors_in})" if self.errors else ""
        self._say(
            f"{self.recordings} recordings, {self._pace}; {self.utterances} utterances, "
            f"{self.errors} errors{where}"
        )

    @property
    def _seconds(self) -> float:
        return max(1e-3, self._clock.now() - self._began)

    @property
    def _speed(self) -> float:
        return self._audio_s / self._seconds

    @property
    def _pace(self) -> str:
        hours, seconds = self._audio_s / 3_600, self._seconds
        return (
            f"{hours:.2f} hours of sound in {seconds:.0f} s: {self.recordings / seconds:.1f} files/s, "
            f"{hours / seconds:.2g} hours of sound a second ({self._speed:.0f} x real time)"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)
