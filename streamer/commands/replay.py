"""`emostream replay`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer
from rich.console import Console

from .. import events
from ..broadcast import on_interrupt, run_session
from ..clock import WallClock
from ..config import Settings
from ..engine import Engine
from ..errors import AnalysisError, ConfigError, SourceError
from ..file_names import shown
from ..hub import Hub
from ..recording import Recording
from ..session import Session, SessionSettings, Sink
from ..sinks import ConsoleSink, JsonLinesSink
from ..sources import FileSource
from ..vad import make_vad
from . import options


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings in any format FFmpeg decodes, or videos.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write there instead of to the terminal.", show_default=False),
    ] = None,
    form: options.FormatOption = "jsonl",
    pace: Annotated[
        Literal["full", "natural"],
        typer.Option("--pace", help="full: as fast as the models go. natural: as it was spoken."),
    ] = "full",
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language of the speech, for multilingual Whisper models.", show_default=False),
    ] = None,
    config: options.ConfigOption = None,
) -> None:
    """Judge recordings: the same pipeline as live, as fast as it goes.

    Every event is one line of JSON; with several files each line names its file first. A file that
    fails is reported, the others are done all the same, and the exit status is 2.
    """
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
    )
    clock = WallClock()
    # A wrong name is told before the models are loaded.
    readable, failures = _check_all(files)
    if output is not None and any(_same(output, file) for file in files):
        raise ConfigError(
            f"expected --output to be a new file, got the recording {shown(output)}; choose another"
        )
    player: _Player | None = None
    if readable:
        console = Console(stderr=True)
        engine = options.load_engine(settings, console, clock)
        options.say_who_speaks(console, engine)
        player = _Player(engine, settings, language, clock, console, form, natural=pace == "natural")
        with _open_output(output) as out:
            failures += asyncio.run(player.play_all(readable, out, named=len(files) > 1))
        if player.interrupted:
            failures.append(f"interrupted; {len(readable) - player.begun} of {len(readable)} files not begun")
    for failure in failures:
        print(f"emostream: {shown(str(failure))}", file=sys.stderr)
    if player is not None and player.interrupted:
        raise typer.Exit(130)
    if failures:
        raise typer.Exit(2)
    if player is not None and player.failed_utterances:
        raise typer.Exit(1)


def _same(output: Path, file: Path) -> bool:
    return output.exists() and file.exists() and output.samefile(file)


def _check_all(files: Sequence[Path]) -> tuple[list[Path], list[SourceError | str]]:
    """Reads the headers only, one file at a time."""
    readable: list[Path] = []
    failures: list[SourceError | str] = []
    for file in files:
        try:
            Recording(file).close()
        except SourceError as error:
            failures.append(error)
        else:
            readable.append(file)
    return readable, failures


def _open_output(path: Path | None) -> nullcontext[TextIO] | TextIO:
    if path is None:
        return nullcontext(sys.stdout)
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"expected to write to {shown(path)}, got: {error.strerror}; choose another --output"
        ) from error


class _Player:
    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        language: str | None,
        clock: WallClock,
        console: Console,
        form: options.OutputFormat,
        *,
        natural: bool,
    ) -> None:
        self._pace = clock if natural else None
        self._engine = engine
        self._settings = settings
        self._session_settings = replace(
            SessionSettings.paced(settings.segmenter, settings.live)
            if natural
            else SessionSettings(settings.segmenter),
            language=language,
        )
        self._clock = clock
        self._console = console
        self._form = form
        self.interrupted = False
        self.begun = 0
        self.failed_utterances = 0

    async def play_all(self, files: Sequence[Path], out: TextIO, *, named: bool) -> list[SourceError]:
        stop = on_interrupt()
        failures = []
        async with self._engine.running():
            for file in files:
                self.begun += 1
                try:
                    await self._play(file, self._sink(out, file, named), stop)
                except SourceError as error:
                    failures.append(error)
                if stop.is_set():
                    self.interrupted = True
                    break
        return failures

    async def _play(self, file: Path, sink: Sink, stop: asyncio.Event) -> None:
        totals = _TotalsSink()
        session = Session(
            FileSource(file, pace=self._pace),
            make_vad(self._settings.vad),
            self._engine,
            Hub(shown(file.name)),
            [sink, totals],
            self._session_settings,
            self._clock,
        )
        try:
            await run_session(session, stop, on_stop=self._engine.hurry)
        finally:
            self.failed_utterances += totals.failed
            if totals.totals is not None:
                said = f"{shown(file)}: {_summary(totals.totals, totals.failed)}"
                self._console.print(said, highlight=False, soft_wrap=True, markup=False)

    def _sink(self, out: TextIO, file: Path, named: bool) -> Sink:
        if self._form == "text":
            if named:
                out.write(f"{shown(file)}\n")
            return ConsoleSink(Console(file=out))
        return JsonLinesSink(out, file=shown(file) if named else None)


class _TotalsSink:
    """Keeps the last word of a session, and how many utterances have no result."""

    def __init__(self) -> None:
        self.totals: events.Totals | None = None
        self.failed = 0

    async def send(self, event: events.ServerEvent) -> None:
        if isinstance(event, events.Closed):
            self.totals = event.totals
        elif isinstance(event, events.Error) and event.code == AnalysisError.code:
            self.failed += 1


def _summary(totals: events.Totals, failed: int) -> str:
    seconds = totals.audio_ms / 1_000
    if failed:
        return f"{totals.utterances} utterances in {seconds:.1f} s of sound, {failed} more have no result"
    if totals.utterances == 0:
        return f"no utterances in {seconds:.1f} s of sound: no speech was found"
    return f"{totals.utterances} utterances in {seconds:.1f} s of sound"
