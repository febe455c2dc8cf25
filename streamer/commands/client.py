"""`emostream client`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from .. import events
from ..audio import encode_pcm
from ..broadcast import on_interrupt
from ..client import ClientStream, connect
from ..clock import WallClock
from ..errors import ConfigError, ConnectError
from ..microphone import MicrophoneSource, find_device
from ..session import Sink
from ..sinks import ConsoleSink, JsonLinesSink
from ..sources import FileSource, Lost, Pcm, Source
from . import options

_LAST_FINALS_S: Final = 5.0


def client(
    file: Annotated[
        Path | None,
        typer.Argument(help="Recording to send; without one, the microphone.", show_default=False),
    ] = None,
    url: Annotated[str, typer.Option(help="The server's socket.")] = "ws://127.0.0.1:8765/v1/stream",
    microphone: Annotated[
        str | None,
        typer.Option(
            help="Which microphone, see [bold]emostream devices[/bold]. Default: the system's.",
            show_default=False,
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Send the recording as fast as the server takes it.")
    ] = False,
    form: options.FormatOption = "jsonl",
    language: Annotated[
        str | None,
        typer.Option(help="Language of the speech, for multilingual Whisper models.", show_default=False),
    ] = None,
) -> None:
    """Send a recording or the microphone to a server and print its events."""
    clock = WallClock()
    if file is not None and microphone is not None:
        raise ConfigError("expected a recording or --microphone, got both; leave one out")
    if file is None and fast:
        raise ConfigError("expected a recording for --fast, got the microphone; a microphone is never fast")
    if file is not None:
        source: Source = FileSource(file, pace=None if fast else clock)
    else:
        source = MicrophoneSource(find_device(microphone))
    sink: Sink = JsonLinesSink(sys.stdout) if form == "jsonl" else ConsoleSink(Console())
    start = events.Start(
        encoding="pcm_f32le",
        sample_rate=source.sample_rate_hz,
        channels=source.channels,
        language=language,
    )
    try:
        asyncio.run(_run(url, start, source, sink))
    except TimeoutError:
        raise ConnectError(
            f"expected the last finals within {_LAST_FINALS_S:g} s, got none; the server may be overloaded"
        ) from None


async def _run(url: str, start: events.Start, source: Source, sink: Sink) -> None:
    stop = on_interrupt()
    fatal: events.Error | None = None
    async with asyncio.timeout(None) as patience:

        async def stop_source() -> None:
            await stop.wait()
            source.stop()
            patience.reschedule(asyncio.get_running_loop().time() + _LAST_FINALS_S)

        stopping = asyncio.create_task(stop_source(), name="stop")
        try:
            async with connect(url, start) as stream:
                async for event in stream.recognize(_audio(source, stream)):
                    await sink.send(event)
                    if isinstance(event, events.Error) and event.fatal:
                        fatal = event
        finally:
            stopping.cancel()
    if fatal is not None:
        raise ConnectError(f"the server ended the session ({fatal.code}): {fatal.message}")


async def _audio(source: Source, stream: ClientStream) -> AsyncIterator[bytes]:
    async for item in source.items():
        match item:
            case Pcm(block):
                yield encode_pcm(block, "pcm_f32le")
            case Lost(ms, _):
                await stream.gap(ms)
