"""`emostream client`"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from ..client.audio import ClientAudio
from ..client.connection import Reconnected, connect
from ..errors import ConfigError, ConnectError
from ..output.sinks import ConsoleSink, JsonLinesSink
from ..pipeline.session import Sink
from ..protocol import messages
from ..server.auth import read_tokens
from ..server.local_stream import stop_on_signals
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
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", help="The server's token, the first line of a file.", show_default=False
        ),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            "--authority",
            help="PEM file of who signed the server's certificate, where this machine does not know them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send a recording or the microphone to a server and print its events.

    A connection that breaks is taken up again, and the session with it.
    """
    if file is not None and microphone is not None:
        raise ConfigError("expected a recording or --microphone, got both; leave one out")
    if file is None and fast:
        raise ConfigError("expected a recording for --fast, got the microphone; a microphone is never fast")
    audio = ClientAudio.microphone(microphone) if file is None else ClientAudio.file(file, paced=not fast)
    token = None if token_file is None else read_tokens(token_file)[0]
    tls = None if authority is None else _trusting(authority)
    sink: Sink = JsonLinesSink(sys.stdout) if form == "jsonl" else ConsoleSink(Console())
    start = audio.start(language=language, token=token)
    try:
        asyncio.run(_run(url, start, audio, sink, tls))
    except TimeoutError:
        raise ConnectError(
            f"expected the last finals within {_LAST_FINALS_S:g} s, got none; the server may be overloaded"
        ) from None


def _trusting(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"expected a PEM file at {authority}, got: {error}; check --authority") from error


async def _run(
    url: str, start: messages.Start, audio: ClientAudio, sink: Sink, tls: ssl.SSLContext | None
) -> None:
    stop = stop_on_signals()
    fatal: messages.Error | None = None
    async with asyncio.timeout(None) as patience:

        async def stop_source() -> None:
            await stop.wait()
            audio.stop()
            patience.reschedule(asyncio.get_running_loop().time() + _LAST_FINALS_S)

        stopping = asyncio.create_task(stop_source(), name="stop")
        try:
            async with connect(url, start, tls=tls) as stream:
                async for event in stream.recognize(audio):
                    if isinstance(event, Reconnected):
                        print(f"emostream: {_told(event)}", file=sys.stderr)
                        continue
                    await sink.send(event)
                    if isinstance(event, messages.Error) and event.fatal:
                        fatal = event
        finally:
            stopping.cancel()
    if fatal is not None:
        raise ConnectError(f"the server ended the session ({fatal.code}): {fatal.message}")


def _told(event: Reconnected) -> str:
    if event.resumed and event.lost_from_seq is None:
        return "the connection broke and stands again; nothing is lost"
    if event.resumed:
        return f"the connection broke and stands again; events from {event.lost_from_seq} on are lost"
    return (
        f"the connection broke, and the server knows the session no more: what was said behind "
        f"{event.missing_from_ms / 1_000:.1f} s is lost; times now count from "
        f"{event.clock_start_ms / 1_000:.1f} s"
    )
