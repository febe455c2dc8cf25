"""The server with fake models, over real sockets on the loopback."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from emostream.models import Clip, Transcript
from emostream.streamer import events
from emostream.streamer.audio import encode_pcm
from emostream.streamer.client import connect as connect_client
from emostream.streamer.clock import WallClock
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.engine import Engine
from emostream.streamer.errors import ConnectError, ListenError
from emostream.streamer.hub import Hub
from emostream.streamer.listening import bind
from emostream.streamer.server import Server
from emostream.streamer.watching import OwnStream

from .fakes import FakeRecognizer, FakeTranscriber, silence, voice
from .test_session import comparable, finals, kinds

START = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
SPEECH = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])


@asynccontextmanager
async def serving(
    *,
    transcriber: FakeTranscriber | None = None,
    recognizer: FakeRecognizer | None = None,
    streams: Sequence[OwnStream] = (),
    **server: Any,
) -> AsyncIterator[Server]:
    settings = Settings(server=ServerSettings(port=0, **server))
    engine = Engine(transcriber, recognizer or FakeRecognizer(), WallClock())
    async with (
        engine.running(),
        Server(bind(settings.server), engine, settings, WallClock(), streams) as listening,
    ):
        yield listening


def socket_url(server: Server) -> str:
    return server.url.replace("http", "ws") + "/v1/stream"


@asynccontextmanager
async def started(server: Server, start: dict[str, Any] = START) -> AsyncIterator[ClientConnection]:
    async with connect(socket_url(server), compression=None) as socket:
        await socket.send(json.dumps(start))
        assert isinstance(events.decode_server(await socket.recv()), events.Ready)
        yield socket


async def rest(socket: ClientConnection) -> tuple[list[events.ServerEvent], int]:
    """Every event until the close, and its code."""
    seen: list[events.ServerEvent] = []
    while True:
        try:
            event = events.decode_server(await socket.recv())
        except ConnectionClosed as closed:
            return seen, 1006 if closed.rcvd is None else closed.rcvd.code
        if not isinstance(event, events.Ack | events.Ready):
            seen.append(event)


async def stream(server: Server, sound: np.ndarray, block: int = 3_200) -> list[events.ServerEvent]:
    start = events.Start(encoding="pcm_f32le", sample_rate=16_000, channels=1)

    async def blocks() -> AsyncIterator[bytes]:
        for first in range(0, len(sound), block):
            yield encode_pcm(sound[first : first + block], "pcm_f32le")

    async with connect_client(socket_url(server), start) as client:
        return [event async for event in client.recognize(blocks())]


def errors(seen: Sequence[events.ServerEvent]) -> list[tuple[str, bool]]:
    return [(event.code, event.fatal) for event in seen if isinstance(event, events.Error)]


async def get(server: Server, path: str, host: str | None = None) -> tuple[int, Any, bytes]:
    def fetch() -> tuple[int, Any, bytes]:
        request = urllib.request.Request(server.url + path, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    return await asyncio.to_thread(fetch)


async def test_a_session_from_ready_to_closed() -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        seen = await stream(server, SPEECH)
    assert sorted(kinds(seen)) == ["Closed", "Emotion", "Emotion", "SpeechStarted", "SpeechStarted"]
    assert [event.seq for event in seen] == [1, 2, 3, 4, 5]
    assert [final.text for final in finals(seen)] == ["1400 milliseconds", "1000 milliseconds"]


@pytest.mark.parametrize("block", [7, 320, len(SPEECH)])
async def test_the_cut_of_the_messages_does_not_matter(block: int) -> None:
    sound = SPEECH if block > 100 else SPEECH[: 16 * 1_900]
    async with serving(transcriber=FakeTranscriber()) as server:
        assert comparable(await stream(server, sound, block)) == comparable(await stream(server, sound))


async def test_every_message_is_as_the_schema_says() -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        _, _, body = await get(server, "/v1/schema.json")
        schema = json.loads(body)
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        validator.validate(START)
        async with connect(socket_url(server)) as socket:
            await socket.send(json.dumps(START))
            await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
            await socket.send(json.dumps({"type": "flush", "at_samples": len(SPEECH)}))
            await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen = set()
            async for message in socket:
                validator.validate(json.loads(message))
                seen.add(json.loads(message)["type"])
    assert seen == {"ready", "ack", "speech_started", "emotion", "closed"}
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"type": "start"})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("{", "bad_message"),
        ('{"type": "dance"}', "bad_message"),
        ('{"type": "flush"}', "bad_message"),
        ('{"type": "flush", "at_samples": -1}', "bad_message"),
        ('{"type": "gap", "ms": 0}', "bad_message"),
        ('{"type": "gap", "ms": 1e300}', "bad_message"),
        (json.dumps(START), "bad_message"),
        ('{"type": "watch", "stream": "demo"}', "bad_message"),
        ("\u0000", "bad_message"),
    ],
)
async def test_a_wrong_message_is_told_and_the_session_goes_on(message: str, told: str) -> None:
    async with serving() as server:
        neighbour = asyncio.create_task(stream(server, SPEECH))
        async with started(server) as socket:
            await socket.send(message)
            await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
            await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen, code = await rest(socket)
        assert errors(seen) == [(told, False)]
        assert (len(finals(seen)), code) == (2, 1000)
        assert errors(await neighbour) == []


@pytest.mark.parametrize(
    ("first", "told"),
    [
        pytest.param(b"\x00\x00", "bad_start", id="audio"),
        pytest.param("nonsense", "bad_start", id="no JSON"),
        pytest.param('{"type": "stop", "at_samples": 0}', "bad_start", id="stop"),
        pytest.param(json.dumps(START | {"encoding": "mp3"}), "bad_start", id="encoding"),
        pytest.param(json.dumps(START | {"sample_rate": 0}), "bad_start", id="rate 0"),
        pytest.param(json.dumps(START | {"sample_rate": 2**31}), "bad_start", id="rate 2^31"),
        pytest.param(json.dumps(START | {"channels": 9}), "bad_start", id="channels"),
        pytest.param(json.dumps(START | {"options": {"min_silence_ms": 5}}), "bad_start", id="silence"),
        pytest.param(json.dumps(START | {"options": {"max_utterance_ms": 60_000}}), "bad_start", id="length"),
        pytest.param('{"type": "watch", "stream": "nowhere"}', "unknown_stream", id="stream"),
    ],
)
async def test_a_wrong_start_is_told_and_closed(first: str | bytes, told: str) -> None:
    async with serving() as server, connect(socket_url(server)) as socket:
        await socket.send(first)
        seen, code = await rest(socket)
    assert errors(seen) == [(told, True)]
    assert code == 4400


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with serving(start_ms=100) as server, connect(socket_url(server)) as socket:
        seen, code = await rest(socket)
    assert errors(seen) == [("bad_start", True)]
    assert code == 4400


async def test_a_client_past_its_credit_is_closed_and_what_it_sent_is_judged() -> None:
    piece = encode_pcm(np.concatenate([voice(1_000), silence(5_000)]), "pcm_s16le")
    async with serving(ahead_ms=1_000) as server, started(server) as socket:
        # Six seconds are one message past the credit; what follows before the ack is too much.
        for _ in range(40):
            await socket.send(piece)
        seen, code = await rest(socket)
    assert errors(seen) == [("too_far_ahead", True)]
    assert code == 4429
    assert finals(seen)
    closed = seen[-1]
    assert isinstance(closed, events.Closed)
    assert closed.reason == "error"
    assert closed.totals.audio_ms >= 6_000


async def test_our_client_waits_for_credit() -> None:
    sound = np.concatenate([SPEECH] * 4)
    async with serving(ahead_ms=1_000) as server:
        seen = await stream(server, sound, block=len(sound))
    assert errors(seen) == []
    assert len(finals(seen)) == 8


async def test_flush_and_stop_ahead_of_the_audio_wait_for_it() -> None:
    half = 16 * 800  # in the middle of the first utterance
    async with serving() as server, started(server) as socket:
        await socket.send(json.dumps({"type": "flush", "at_samples": half}))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
        await socket.send(encode_pcm(voice(500), "pcm_s16le"))  # behind the stop: not heard
        seen, code = await rest(socket)
    first, second, third = finals(seen)
    assert (first.reason, first.end_ms, second.start_ms) == ("flush", 800, 800)
    assert third.end_ms < len(SPEECH) // 16
    assert code == 1000
    closed = seen[-1]
    assert isinstance(closed, events.Closed)
    assert closed.totals.audio_ms == len(SPEECH) // 16


async def test_a_flush_said_twice_is_one() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(encode_pcm(SPEECH[: 16 * 800], "pcm_s16le"))
        for _ in range(2):
            await socket.send(json.dumps({"type": "flush", "at_samples": 16 * 800}))
        await socket.send(encode_pcm(SPEECH[16 * 800 :], "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, _ = await rest(socket)
    assert [final.reason for final in finals(seen)] == ["flush", "silence", "silence"]


async def test_a_gap_is_told() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(json.dumps({"type": "gap", "ms": 2_000}))
        await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, _ = await rest(socket)
    assert isinstance(seen[0], events.Dropped)
    assert [final.start_ms for final in finals(seen)] == [2_300, 4_200]


async def test_options_are_per_session() -> None:
    wish = START | {"options": {"min_silence_ms": 1_000, "words": False}}
    async with serving(transcriber=FakeTranscriber()) as server, started(server, wish) as socket:
        await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, _ = await rest(socket)
    (one,) = finals(seen)  # a pause of 0.9 s no longer ends it
    assert one.words == ()
    assert one.text


async def test_resume_of_an_unknown_session_says_what_is_gone() -> None:
    resume = START | {"resume": {"session": "gone", "secret": "x", "last_seq": 41}}
    async with serving() as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(resume))
        ready = events.decode_server(await socket.recv())
    assert isinstance(ready, events.Ready)
    assert (ready.resumed, ready.lost_from_seq) == (False, 42)


async def test_sessions_have_secrets_of_their_own() -> None:
    async with serving() as server:
        seen = []
        for _ in range(2):
            async with connect(socket_url(server)) as socket:
                await socket.send(json.dumps(START))
                ready = events.decode_server(await socket.recv())
                assert isinstance(ready, events.Ready)
                seen += [ready.session, ready.secret]
    assert len(set(seen)) == 4
    assert all(len(secret or "") >= 16 for secret in seen)


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
async def test_foreign_pages_are_not_let_in(origin: str, allowed: tuple[str, ...], code: int | None) -> None:
    async with (
        serving(allow_origins=allowed) as server,
        connect(socket_url(server), origin=Origin(origin.format(host=f"127.0.0.1:{server.port}"))) as socket,
    ):
        if code is None:
            await socket.send(json.dumps(START))
            assert isinstance(events.decode_server(await socket.recv()), events.Ready)
            return
        seen, closed = await rest(socket)
    assert errors(seen) == [("foreign_origin", True)]
    assert closed == code


async def test_a_name_that_dns_points_here_is_not_let_in() -> None:
    async with serving() as server:
        status, _, body = await get(server, "/", host="rebound.example")
        assert (status, b"rebound.example" in body) == (403, True)
        async with connect(f"ws://rebound.example:{server.port}/v1/stream", host="127.0.0.1") as socket:
            seen, code = await rest(socket)
    assert (errors(seen), code) == ([("foreign_origin", True)], 4403)


async def test_the_page_and_the_facts() -> None:
    hub = Hub("s")
    own = OwnStream("demo", "A recording", "The voice is synthetic.", hub)
    async with serving(streams=[own]) as server:
        status, headers, body = await get(server, "/?x=1")
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"emostream" in body
        status, _, body = await get(server, "/healthz")
        health = json.loads(body)
        assert (status, health["status"], health["models"]["emotion"]) == (200, "ok", "fake emotion")
        _, _, body = await get(server, "/v1/streams")
        assert json.loads(body) == {
            "streams": [{"name": "demo", "title": "A recording", "note": "The voice is synthetic."}]
        }
        for path in ("/nothing", "/../pyproject.toml", "/%2e%2e/cli.py", "/__init__.py"):
            assert (await get(server, path))[0] == 404


async def publish(hub: Hub, count: int) -> None:
    for i in range(count):
        hub.publish(events.SpeechStarted(utterance=i, start_ms=i))


async def test_a_watcher_gets_what_was_and_what_comes() -> None:
    hub = Hub("session-name")
    await publish(hub, 250)
    own = OwnStream("demo", "t", None, hub)
    async with serving(streams=[own]) as server, connect(socket_url(server)) as socket:
        await socket.send('{"type": "watch", "stream": "demo"}')
        ready = events.decode_server(await socket.recv())
        assert isinstance(ready, events.Ready)
        assert (ready.session, ready.secret) == ("session-name", None)
        first = events.decode_server(await socket.recv())
        assert isinstance(first, events.SpeechStarted)
        assert first.seq == 51
        hub.publish(
            events.Closed(
                reason="end_of_stream", totals=events.Totals(audio_ms=1, utterances=0, dropped_ms=0)
            )
        )
        seen, code = await rest(socket)
    assert [event.seq for event in seen] == list(range(52, 252))
    assert code == 1000


async def test_a_watcher_that_does_not_read_is_cut_off_and_slows_nobody() -> None:
    hub = Hub("s", keep=10)
    own = OwnStream("demo", "t", None, hub)
    async with serving(streams=[own], watcher_events=20) as server, connect(socket_url(server)) as socket:
        await socket.send('{"type": "watch", "stream": "demo"}')
        await socket.recv()
        await publish(hub, 1_000)  # faster than anybody can read: no turn of the loop in between
        seen, code = await rest(socket)
    assert errors(seen) == [("watcher_too_slow", True)]
    assert code == 4413


async def test_closing_sends_the_finals_first() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(encode_pcm(voice(1_000), "pcm_s16le"))
        while not isinstance(events.decode_server(await socket.recv()), events.SpeechStarted):
            pass
        closing = asyncio.create_task(server.__aexit__(None, None, None))
        seen, code = await rest(socket)
        await closing
    assert kinds(seen) == ["Emotion", "Closed"]
    assert code == 1001
    closed = seen[-1]
    assert isinstance(closed, events.Closed)
    assert closed.reason == "shutting_down"


async def test_a_message_that_is_too_big() -> None:
    async with serving(message_bytes=10_000) as server, started(server) as socket:
        await socket.send(b"\x00" * 10_001)
        _, code = await rest(socket)
    assert code == 1009


async def test_a_port_in_use_is_one_clear_line() -> None:
    async with serving() as server:
        with pytest.raises(ListenError, match=f"port {server.port}, got: .*choose another --port"):
            bind(ServerSettings(port=server.port))


async def test_a_client_without_a_server_says_what_to_do() -> None:
    async with serving() as server:
        gone = socket_url(server)
    start = msgspec.convert(START, events.Start)
    with pytest.raises(ConnectError, match="emostream serve"):
        async with connect_client(gone, start):
            pass


async def test_a_refused_client_hears_the_servers_own_words() -> None:
    async with serving() as server:
        start = events.Start(encoding="pcm_s16le", sample_rate=1, channels=1)
        with pytest.raises(ConnectError, match="8000 to 96000, got 1"):
            async with connect_client(socket_url(server), start):
                pass


async def test_our_client_ends_although_it_waits_for_credit() -> None:
    """The server goes while the sender is held back: the finals come, and nobody waits for ever."""
    endless = encode_pcm(np.concatenate([voice(1_000), silence(1_000)]), "pcm_s16le")

    async def blocks() -> AsyncIterator[bytes]:
        while True:
            yield endless

    seen: list[events.ServerEvent] = []
    async with serving(ahead_ms=1_000) as server:
        start = msgspec.convert(START, events.Start)
        async with connect_client(socket_url(server), start) as client:
            async for event in client.recognize(blocks()):
                if not seen:
                    server.wind_down()
                seen.append(event)
    assert kinds(seen)[-1] == "Closed"


async def test_words_that_take_long_are_not_waited_for_when_the_house_closes() -> None:
    release = threading.Event()

    class Slow(FakeTranscriber):
        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            release.wait()
            return super().transcribe(clips)

    try:
        async with serving(transcriber=Slow()) as server, started(server) as socket:
            await socket.send(encode_pcm(voice(1_000), "pcm_s16le"))
            while not isinstance(events.decode_server(await socket.recv()), events.SpeechStarted):
                pass
            server.wind_down()
            seen, _ = await rest(socket)
    finally:
        release.set()
    assert kinds(seen) == ["Error", "Emotion", "Closed"]
    assert finals(seen)[0].uncertain == ("no_text",)
