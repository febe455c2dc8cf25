"""`emostream client`: a recording or the microphone to a server."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from ..client import ClientStream, ConnectionLost, Reconnected, Retry, connect
from ..client.audio import ClientAudio
from ..client.one_clock import OneClock
from ..errors import ConfigError, ConnectError
from ..output.sinks import ConsoleSink, JsonLinesSink
from ..pipeline.session import Sink
from ..protocol import messages
from ..server.auth import read_tokens
from ..server.local_stream import stop_on_signals
from ..speakers.store import SpeakerStore
from .console import check_one_speaker
from .options import OutputFormat, parse_channels

_LAST_FINALS_S: Final = 5.0
_RETRY: Final = Retry(attempts=30)  # minutes: a server that restarts loads its models first


def client(
    *,
    file: Path | None,
    url: str,
    microphone: str | None,
    fast: bool,
    form: OutputFormat,
    interim: bool,
    channels: str | None,
    track: int | None,
    language: str | None,
    speaker: str | None,
    token_file: Path | None,
    ssl_ca_certs: Path | None,
) -> None:
    """Run the command; `commands.client` has its options."""
    if file is not None and microphone is not None:
        raise ConfigError("expected a recording or --microphone, got both; leave one out")
    if file is None and fast:
        raise ConfigError(
            "expected a recording for --fast, got the microphone, which is in real time; leave --fast out"
        )
    if file is None and track is not None:
        raise ConfigError("expected a recording for --track, got the microphone; leave --track out")
    chosen = parse_channels(channels)
    check_one_speaker(chosen, speaker)
    voice = None if speaker is None else SpeakerStore().load(speaker).voice
    audio = (
        ClientAudio.microphone(microphone)
        if file is None
        else ClientAudio.file(file, paced=not fast, track=track or 1)
    )
    token = None if token_file is None else read_tokens(token_file)[0]
    tls = None if ssl_ca_certs is None else _trusting(ssl_ca_certs)
    console = Console()
    sink: Sink = ConsoleSink(console) if form != "jsonl" else JsonLinesSink(sys.stdout, interim=interim)
    shown = interim if form == "jsonl" else console.is_terminal
    options = messages.Options(interim_results=None if shown else False, channels=chosen)
    start = audio.start(language=language, token=token, options=options)
    start = msgspec.structs.replace(start, speaker=voice)
    asyncio.run(_run(url, start, audio, sink, tls))


def _trusting(ca_certs: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_certs))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"expected a PEM file at {ca_certs}, got: {error}; check --ssl-ca-certs") from error


async def _run(
    url: str, start: messages.Start, audio: ClientAudio, sink: Sink, tls: ssl.SSLContext | None
) -> None:
    """Raises ConnectError, whose message ends with how far the results reach."""
    stop = stop_on_signals()
    async with connect(url, start, retry=_RETRY, ssl=tls) as stream:
        try:
            await _print_until_stopped(stop, stream, audio, sink)
        except TimeoutError:
            got = "none; the server may be overloaded" if stream.connected else "no connection to the server"
            raise ConnectError(
                f"expected the last finals within {_LAST_FINALS_S:g} s, got {got}; {_results_end(stream)}"
            ) from None
        except ConnectError as error:
            raise ConnectError(f"{error}; {_results_end(stream)}") from error


async def _print_until_stopped(
    stop: asyncio.Event, stream: ClientStream, audio: ClientAudio, sink: Sink
) -> None:
    """Raises TimeoutError where the finals are not there soon after `stop`."""
    async with asyncio.timeout(None) as timeout:

        async def stop_source() -> None:
            await stop.wait()
            audio.stop()
            timeout.reschedule(asyncio.get_running_loop().time() + _LAST_FINALS_S)

        stopping = asyncio.create_task(stop_source(), name="stop")
        try:
            await _print_events(stream, audio, sink)
        finally:
            stopping.cancel()


async def _print_events(stream: ClientStream, audio: ClientAudio, sink: Sink) -> None:
    clock = OneClock()
    fatal: messages.Error | None = None
    async for event in stream.recognize(audio):
        match event:
            case ConnectionLost(reason=reason):
                _report(f"the connection is lost, {reason}; reconnecting")
            case Reconnected():
                fatal = None
                clock.reconnected(event)
                _report(_describe(event, stream))
            case _:
                await sink.send(clock.place(event))
                if isinstance(event, messages.Error) and event.fatal:
                    fatal = event
    if fatal is not None:
        raise ConnectError(f"the server ended the session ({fatal.code}): {fatal.message}")


def _report(message: str) -> None:
    print(f"emostream: {message}", file=sys.stderr, flush=True)


def _results_end(stream: ClientStream) -> str:
    return f"the results end at {stream.results_until_ms / 1_000:.1f} s of the audio"


def _describe(event: Reconnected, stream: ClientStream) -> str:
    if event.resumed and event.lost_from_seq is None:
        return "the connection is re-established; nothing is missing"
    if event.resumed:
        return f"the connection is re-established; events from {event.lost_from_seq} on are missing"
    again_s = stream.results_until_ms / 1_000
    if event.missing_from_ms is None:
        return (
            "the connection is re-established, and the server no longer has the session: it hears again what "
            f"came after {again_s:.1f} s; nothing is missing"
        )
    lost_s = (event.clock_start_ms - event.missing_from_ms) / 1_000
    return (
        "the connection is re-established, and the server no longer has the session: speech in the "
        f"{lost_s:.1f} s before {again_s:.1f} s is lost"
    )
