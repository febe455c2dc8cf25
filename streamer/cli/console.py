"""What commands print for a person, on standard error: progress of loading, the models, failures."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from socket import socket as Socket
from typing import Final

import msgspec
from rich.console import Console

from ..clock import Clock
from ..config import Channels, Settings
from ..display_paths import printable
from ..errors import ConfigError, SourceError
from ..inference import load_models
from ..inference.backend import ModelInfo
from ..inference.engine import Engine
from ..protocol import messages
from ..replay.discovery import ReplayJob
from ..server.loading import load_behind_page

_LOADING: Final = "Loading the models ..."


def load_engine_behind_page(bound: Socket, settings: Settings, console: Console, clock: Clock) -> Engine:
    """For audio in real time; while the models load, the port has the page. Raises ModelError and
    ListenError.
    """
    load = partial(load_engine, settings, console, clock, live=True)
    return asyncio.run(load_behind_page(bound, settings.server, load))


def load_engine(settings: Settings, console: Console, clock: Clock, *, live: bool = False) -> Engine:
    """Load the models behind a status line. live: see `load_models.load_engine`. Raises ModelError."""
    with loading_status(console) as start:
        # Not started before: a download draws its own progress bar.
        return load_models.load_engine(settings, clock, live=live, on_downloaded=start)


@contextmanager
def loading_status(console: Console) -> Iterator[Callable[[], None]]:
    """Shows that the models load, from the call of what it gives: a status line, which is erased at the end;
    in a log, where Rich draws none, a line.
    """
    status = console.status(_LOADING)
    try:
        yield status.start if console.is_terminal else partial(print_line, console, _LOADING)
    finally:
        status.stop()


def print_line(console: Console, text: str) -> None:
    """One line as it is, however long: no markup, no highlighting, no wrapping."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def print_models(console: Console, model_info: ModelInfo) -> None:
    asr = "none (audio only)" if model_info.asr is None else model_info.asr
    source = "" if model_info.asr_source is None else f", from the {model_info.asr_source}"
    print_line(console, f"Transcription: {asr}{source}. Emotion: {model_info.emotion}.")


def warn_of_other_models(
    jobs: Sequence[ReplayJob], models: messages.Models, console: Console, *, recorded_segmentation: bool
) -> None:
    """Name each recorded session whose results will differ, because the models or the settings do."""
    if not recorded_segmentation and any(job.session is not None for job in jobs):
        print_line(
            console, "Recorded sessions are segmented by --vad and --config, not as they were recorded."
        )
    for job in jobs:
        if job.session is None:
            continue
        recorded = job.session.models
        # The same model from another place gives the same results.
        if msgspec.structs.replace(recorded, asr_source=models.asr_source) != models:
            print_line(
                console,
                f"{printable(job.path)} was recorded with other models: "
                f"{recorded.asr or 'no transcription'}, {recorded.emotion}, {recorded.vad}",
            )


def check_one_speaker(channels: Channels | None, speaker: str | None) -> None:
    """Raises ConfigError for an enrolled speaker where every channel has its own."""
    if speaker is not None and channels == "split":
        raise ConfigError(
            f"expected one channel with --speaker {printable(speaker)}, got --channels split; choose the "
            "speaker's channel by its number"
        )


def print_failures(failures: Sequence[SourceError | str]) -> None:
    """A line each."""
    for failure in failures:
        print(f"emostream: {printable(str(failure))}", file=sys.stderr)
