"""The handshake, subscribers and the shutdown: the server around its sessions."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from emostream.models import Clip, Transcript
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ClientEvent, Retry
from emostream.streamer.client import connect as connect_client
from emostream.streamer.config import ServerSettings
from emostream.streamer.errors import ConnectError, ListenError
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.serving import START, errors, get, rest, serving, socket_url, started
from tests.support.streams import finals, kinds


async def test_a_client_that_offers_another_protocol_only_gets_version_1() -> None:
    async with serving() as server:
        for offered, chosen in ((["emostream.v1"], "emostream.v1"), (["other"], None), (None, None)):
            async with connect(socket_url(server), subprotocols=offered) as socket:  # type: ignore[arg-type]
                assert socket.subprotocol == chosen


@pytest.mark.parametrize(
    ("origin", "allowed", "code"),
    [
        ("http://{host}", (), None),
        ("http://127.0.0.1:1234", (), 4403),
        ("http://localhost", (), 4403),
        ("https://evil.example", (), 4403),
        ("null", (), 4403),
        ("http://127.0.0.1.evil.example", (), 4403),
        ("https://studio.example", ("https://studio.example",), None),
    ],
)
async def test_pages_from_other_origins_are_rejected(
    origin: str, allowed: tuple[str, ...], code: int | None
) -> None:
    async with (
        serving(allow_origins=allowed) as server,
        connect(socket_url(server), origin=Origin(origin.format(host=f"127.0.0.1:{server.port}"))) as socket,
    ):
        if code is None:
            await socket.send(json.dumps(START))
            assert isinstance(messages.decode_server_message(await socket.recv()), messages.Ready)
            return
        seen, closed = await rest(socket)
    assert errors(seen) == [("origin_not_allowed", True)]
    assert closed == code


async def test_a_host_name_that_dns_rebinds_is_rejected() -> None:
    async with serving() as server:
        status, _, body = await get(server, "/", host="rebound.example")
        assert (status, b"rebound.example" in body) == (403, True)
        async with connect(f"ws://rebound.example:{server.port}/v1/stream", host="127.0.0.1") as socket:
            seen, code = await rest(socket)
    assert (errors(seen), code) == ([("origin_not_allowed", True)], 4403)


async def health_of(server: Server) -> tuple[int, dict[str, Any]]:
    status, _, body = await get(server, "/healthz")
    return status, json.loads(body)


async def test_the_page_and_the_server_status() -> None:
    event_log = EventLog("s")
    own = PublishedStream("demo", "A recording", "The voice is synthetic.", event_log)
    async with serving(streams=[own]) as server:
        status, headers, body = await get(server, "/?x=1")
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"emostream" in body
        status, health = await health_of(server)
        while health["status"] == "warming":
            assert status == 503
            status, health = await health_of(server)
        assert (status, health["status"], health["models"]["emotion"]) == (200, "ok", "fake emotion")
        _, _, body = await get(server, "/v1/streams")
        assert json.loads(body) == {
            "streams": [
                {
                    "name": "demo",
                    "title": "A recording",
                    "note": "The voice is synthetic.",
                    "session": own.event_log.session,
                    "audio_ms": 0,
                }
            ]
        }
        for path in ("/nothing", "/../pyproject.toml", "/%2e%2e/cli.py", "/__init__.py"):
            assert (await get(server, path))[0] == 404


async def publish(event_log: EventLog, count: int) -> None:
    for i in range(count):
        event_log.append(messages.SpeechStarted(utterance=i, start_ms=i))


async def test_a_subscriber_gets_kept_events_and_new_ones() -> None:
    event_log = EventLog("session-name")
    await publish(event_log, 250)
    own = PublishedStream("demo", "t", None, event_log)
    async with serving(streams=[own]) as server, connect(socket_url(server)) as socket:
        await socket.send('{"type": "subscribe", "stream": "demo"}')
        ready = messages.decode_server_message(await socket.recv())
        assert isinstance(ready, messages.Ready)
        assert (ready.session, ready.resume_token) == ("session-name", None)
        first = messages.decode_server_message(await socket.recv())
        assert isinstance(first, messages.SpeechStarted)
        assert first.seq == 51
        event_log.append(
            messages.Closed(
                reason="end_of_stream", totals=messages.Totals(audio_ms=1, utterances=0, dropped_ms=0)
            )
        )
        seen, code = await rest(socket)
    assert [event.seq for event in seen] == list(range(52, 252))
    assert code == 1000


async def test_a_subscriber_that_does_not_read_is_cut_off_and_slows_nothing() -> None:
    event_log = EventLog("s", keep=10)
    own = PublishedStream("demo", "t", None, event_log)
    async with (
        serving(streams=[own], subscriber_queue_size=20) as server,
        connect(socket_url(server)) as socket,
    ):
        await socket.send('{"type": "subscribe", "stream": "demo"}')
        await socket.recv()
        await publish(event_log, 1_000)  # faster than any client can read: the loop runs nothing in between
        seen, code = await rest(socket)
    assert errors(seen) == [("slow_consumer", True)]
    assert code == 4413


async def test_shutdown_sends_the_finals_first() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(encode_pcm(voice(1_000), "pcm_s16le"))
        while not isinstance(messages.decode_server_message(await socket.recv()), messages.SpeechStarted):
            pass
        closing = asyncio.create_task(server.__aexit__(None, None, None))
        seen, code = await rest(socket)
        await closing
    assert kinds(seen) == ["Emotion", "Closed"]
    assert code == 1001
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.reason == "shutting_down"


async def test_a_message_that_is_too_big_is_rejected() -> None:
    async with serving(message_bytes=10_000) as server, started(server) as socket:
        await socket.send(b"\x00" * 10_001)
        _, code = await rest(socket)
    assert code == 1009


async def test_a_port_in_use_is_reported_in_one_line() -> None:
    async with serving() as server:
        with pytest.raises(ListenError, match=f"port {server.port}, got: .*choose another --port"):
            bind(ServerSettings(port=server.port))


async def test_a_client_without_a_server_gets_advice() -> None:
    async with serving() as server:
        gone = socket_url(server)
    start = msgspec.convert(START, messages.Start)
    with pytest.raises(ConnectError, match="emostream serve"):
        async with connect_client(gone, start):
            pass


async def test_a_rejected_client_gets_the_servers_message() -> None:
    async with serving() as server:
        start = messages.Start(encoding="pcm_s16le", sample_rate=1, channels=1)
        with pytest.raises(ConnectError, match="1000 to 768000, got 1"):
            async with connect_client(socket_url(server), start):
                pass


async def test_the_client_ends_although_it_waits_for_credit() -> None:
    """The server shuts down while the sender is held back, and does not come back: the finals come, nothing
    waits forever, and the end is an error.
    """
    endless = encode_pcm(np.concatenate([voice(1_000), silence(1_000)]), "pcm_s16le")

    async def blocks() -> AsyncIterator[bytes]:
        while True:
            yield endless

    seen: list[ClientEvent] = []
    async with serving(max_unacked_ms=1_000) as server:
        start = msgspec.convert(START, messages.Start)
        with pytest.raises(ConnectError, match=r"tried 2 times to reconnect"):
            async with connect_client(socket_url(server), start, retry=Retry(2, 0.01, 0.01)) as client:
                async for event in client.recognize(blocks()):
                    if not seen:
                        server.begin_shutdown()
                    seen.append(event)
    assert "Emotion" in kinds(seen)
    assert kinds(seen)[-1] == "ConnectionLost"


async def test_a_slow_transcriber_is_not_waited_for_at_shutdown() -> None:
    release = threading.Event()

    class Slow(FakeTranscriber):
        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            release.wait()
            return super().transcribe(clips)

    try:
        async with serving(transcriber=Slow()) as server, started(server) as socket:
            await socket.send(encode_pcm(voice(1_000), "pcm_s16le"))
            while not isinstance(messages.decode_server_message(await socket.recv()), messages.SpeechStarted):
                pass
            server.begin_shutdown()
            seen, _ = await rest(socket)
    finally:
        release.set()
    assert kinds(seen) == ["Error", "Emotion", "Closed"]
    assert finals(seen)[0].uncertain == ("no_text",)


@pytest.mark.parametrize(("trust_proxy_headers", "accepted"), [(True, [1, 0, 0, 1]), (False, [1, 0, 0, 0])])
async def test_the_client_address_is_the_one_that_the_proxy_gives(
    trust_proxy_headers: bool, accepted: list[int]
) -> None:
    """Entries before the proxy's own come from the client, which may write anything there."""
    forwarded = ["203.0.113.5", "203.0.113.5", "198.51.100.1, 203.0.113.5", "203.0.113.6"]
    seen, waits = [], []
    async with serving(connections_per_minute=2, trust_proxy_headers=trust_proxy_headers) as server:
        for addresses in forwarded:
            try:
                async with connect(socket_url(server), additional_headers={"X-Forwarded-For": addresses}):
                    seen.append(101)
            except InvalidStatus as refused:
                seen.append(refused.response.status_code)
                waits.append(int(refused.response.headers["Retry-After"]))
    assert seen == [101 if accept else 429 for accept in accepted]
    assert all(1 <= wait <= 31 for wait in waits)
