"""`connect` and `connect_sync`, against a real server with fake models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import soundfile

import emostream
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client.audio import ClientAudio
from emostream.streamer.client.reconnect import socket_address
from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from tests.support.serving import SPEECH, serving

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Two utterances."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, SPEECH, 16_000, subtype="FLOAT")
    return path


def labels(events: Sequence[object]) -> list[str]:
    return [event.label for event in events if isinstance(event, emostream.Emotion) and event.final]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://127.0.0.1:8765", "ws://127.0.0.1:8765/v1/stream"),
        ("http://127.0.0.1:8765/", "ws://127.0.0.1:8765/v1/stream"),
        ("https://example.org", "wss://example.org/v1/stream"),
        ("127.0.0.1:8765", "ws://127.0.0.1:8765/v1/stream"),
        ("wss://example.org/emotions/v1/stream", "wss://example.org/emotions/v1/stream"),
        ("ws://[::1]:8765/v1/stream", "ws://[::1]:8765/v1/stream"),
    ],
)
def test_the_endpoint_is_added_to_the_address_of_a_server(url: str, address: str) -> None:
    assert socket_address(url) == address


async def test_a_recording_is_sent_while_its_events_are_iterated_over(speech: Path) -> None:
    async with (
        serving() as server,
        emostream.connect(server.url, audio=ClientAudio.file(speech, paced=False)) as stream,
    ):
        events = [event async for event in stream]
    assert len(labels(events)) == 2
    assert isinstance(events[-1], messages.Closed)


async def test_audio_of_ones_own_goes_with_a_start() -> None:
    async with serving() as server, emostream.connect(server.url, START) as stream:
        await stream.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        await stream.stop()
        assert len(labels([event async for event in stream])) == 2


async def test_a_token_goes_with_either(tmp_path: Path, speech: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("a" * 48)
    async with serving(token_file=str(tokens)) as server:
        for given in ({"audio": speech}, {"start": START}):
            with pytest.raises(emostream.ConnectError, match="unauthorized"):
                async with emostream.connect(server.url, **given):
                    pass
            async with emostream.connect(server.url, token="a" * 48, **given) as stream:
                assert stream.ready.labels


async def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    for given, message in (
        ({}, "expected either audio or start, got neither"),
        ({"start": START, "audio": "a.wav"}, "got both"),
        ({"start": START, "language": "en"}, "expected language and options within start"),
    ):
        with pytest.raises(ConfigError, match=message):
            async with emostream.connect("ws://127.0.0.1:1", **given):  # type: ignore[arg-type]
                pass
    with pytest.raises(SourceError, match="no such file"):
        async with emostream.connect("ws://127.0.0.1:1", audio=tmp_path / "nowhere.wav"):
            pass


@pytest.fixture
def server_elsewhere() -> Iterator[Server]:
    """A server in a thread of its own, for tests that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def enter() -> tuple[object, Server]:
        context = serving()
        return context, await context.__aenter__()

    with ExitStack() as stack:
        stack.callback(loop.close)
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, loop.stop)
        context, server = asyncio.run_coroutine_threadsafe(enter(), loop).result()
        stack.callback(
            lambda: asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()  # type: ignore[attr-defined]
        )
        yield server


def test_without_asyncio_the_events_are_the_same(server_elsewhere: Server, speech: Path) -> None:
    audio = ClientAudio.file(speech, paced=False)
    with emostream.connect_sync(server_elsewhere.url, audio=audio) as stream:
        assert stream.ready.labels
        assert len(labels(list(stream))) == 2


def test_without_asyncio_audio_of_ones_own_is_sent_from_the_same_thread(server_elsewhere: Server) -> None:
    with emostream.connect_sync(server_elsewhere.url, START) as stream:
        stream.send(encode_pcm(SPEECH[:16_000, None], "pcm_s16le"))
        stream.flush()
        stream.stop()
        assert len(labels(list(stream))) == 1


async def test_without_asyncio_it_works_where_a_loop_runs_already(
    server_elsewhere: Server, speech: Path
) -> None:
    """As in a notebook, whose cells run within a loop."""
    audio = ClientAudio.file(speech, paced=False)
    with emostream.connect_sync(server_elsewhere.url, audio=audio) as stream:
        assert len(labels(list(stream))) == 2
    assert "emostream client" not in {thread.name for thread in threading.enumerate()}


def test_without_asyncio_a_reader_may_leave_early(server_elsewhere: Server, speech: Path) -> None:
    with emostream.connect_sync(server_elsewhere.url, audio=ClientAudio.file(speech, paced=False)) as stream:
        first = next(iter(stream))
    assert isinstance(first, messages.SpeechStarted)


def test_without_asyncio_errors_are_the_same() -> None:
    with (
        pytest.raises(emostream.ConnectError, match="expected an emostream server at"),
        emostream.connect_sync("ws://127.0.0.1:1", START),
    ):
        pass
