"""Clients that send anything at all get errors that describe the problem, and other clients are not affected.

The same few thousand messages in every run. EMOSTREAM_FUZZ_MESSAGES=100000 in the environment sets
their number and draws others each time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.audio.sources import AudioGap, Item, Pcm
from emostream.streamer.errors import FlowControlError, NotPcmError, ProtocolError
from emostream.streamer.inference.admission import AdmissionController
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.websocket_source import WebSocketSource
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.serving import SPEECH, START, get, rest, serving, socket_url, started
from tests.support.streams import comparable

TIMEOUT_S = 60  # for a loaded machine; nothing here measures time
ASKED = os.environ.get("EMOSTREAM_FUZZ_MESSAGES")
MESSAGES = int(ASKED or 5_000)
SAID_AT_LEAST = 25  # messages in one conversation
MESSAGE_BYTES = 65_536
AHEAD_MS = 1_000
KINDS = ("start", "subscribe", "gap", "flush", "stop")

fuzz = settings(
    max_examples=math.ceil(MESSAGES / SAID_AT_LEAST),
    deadline=None,
    derandomize=ASKED is None,
    suppress_health_check=list(HealthCheck),
)


# What is sent --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sound:
    """A binary message, described by how it is made, so that a failure can be read."""

    kind: Literal["voice", "silence", "nan", "inf", "huge", "bytes"]
    samples: int
    encoding: Literal["pcm_s16le", "pcm_f32le"] = "pcm_s16le"
    cut: int = 0  # bytes that are missing in the end: a frame is cut in two

    def data(self) -> bytes:
        if self.kind == "bytes":
            return bytes(i % 251 for i in range(self.samples))
        if self.kind in ("voice", "silence"):
            sound = (voice if self.kind == "voice" else silence)(100)[: self.samples]
            whole = encode_pcm(sound, self.encoding)
        else:
            values = {"nan": math.nan, "inf": -math.inf, "huge": 3e38}
            whole = np.full(self.samples, values[self.kind], "<f4").tobytes()
        return whole[: max(0, len(whole) - self.cut)]


@dataclass(frozen=True)
class Pieces:
    """One message in several frames."""

    pieces: tuple[bytes, ...]


@dataclass(frozen=True)
class Garbled:
    """A text message that may be no UTF-8."""

    data: bytes


class Act(Enum):
    """What a client does beside sending messages."""

    WAIT = "until the server has read all of it"
    BREAK = "the connection"
    CLOSE = "politely"
    COME_BACK = "behind a break"
    TAKE_OVER = "from the socket that is open"
    CLAIM = "with another secret"
    MISCOUNT = "come back with a last_seq that never was"
    SHOUT = "more than the longest message"
    FLOOD = "past the credit, to the end"


Step = str | Sound | Pieces | Garbled | Act

odd_numbers = st.sampled_from(
    [0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, -(2**63), 10**400, 1e308, -1e308, 0.5, True]
)
numbers = odd_numbers | st.integers(-10, 40_000)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
places = st.integers(0, 20_000)
deep = st.builds(
    lambda opening, times: opening * times,
    st.sampled_from(["[", '{"type":', '{"a":[']),
    st.integers(1, 5_000),
)


def fields(kind: str, **named: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=named).map(json.dumps)


right_marks = (
    st.builds(lambda at: {"type": "flush", "at_samples": at}, places)
    | st.builds(lambda ms: {"type": "gap", "ms": ms}, st.integers(1, 3_000))
).map(json.dumps)
stops = places.map(lambda at: json.dumps({"type": "stop", "at_samples": at}))
wrong_marks = st.one_of(
    fields("gap", ms=anything, at_samples=numbers),
    fields("flush", at_samples=anything, ms=numbers),
    fields("stop", at_samples=odd_numbers | st.text(max_size=3)),
)
resumes = st.fixed_dictionaries(
    {}, optional={"session": anything, "resume_token": anything, "last_seq": anything}
) | st.builds(
    lambda session, last_seq: {"session": session, "resume_token": "", "last_seq": last_seq},
    st.text(max_size=12),
    st.integers(-(2**65), 2**65),
)
starts = st.fixed_dictionaries(
    {
        "type": st.just("start"),
        "encoding": st.sampled_from(["pcm_s16le", "pcm_f32le"]),
        "sample_rate": st.sampled_from([8_000, 11_025, 16_000, 44_101, 96_000]),
        "channels": st.sampled_from([1, 1, 2, 8]),
    },
    optional={
        "language": st.sampled_from(["en", "de-CH", None]),
        "token": st.none() | st.text(max_size=5),
        "options": st.fixed_dictionaries(
            {},
            optional={
                "interim_results": st.booleans(),
                "words": st.booleans(),
                "min_silence_ms": st.sampled_from([200, 300, 900]),
                "max_utterance_ms": st.sampled_from([2_000, 28_000]),
            },
        ),
    },
)
wrong_starts = st.builds(
    lambda start, name, value: json.dumps(start | {name: value}),
    starts,
    st.sampled_from(["encoding", "sample_rate", "channels", "language", "token", "resume", "options", "x"]),
    anything | resumes | st.sampled_from(["mp3", {"min_silence_ms": 1}, {"max_utterance_ms": 2**31}]),
)
watches = fields(
    "subscribe",
    stream=st.text(max_size=5) | anything,
    resume=resumes,
    token=anything,
    waveform_from_ms=st.integers() | anything,
)
cut_short = st.builds(
    lambda text, keep: text[: min(keep, len(text) - 1)],
    st.sampled_from([json.dumps(START), '{"type": "flush", "at_samples": 48000}']),
    st.integers(0, 80),
)
texts = st.one_of(
    right_marks,
    right_marks,
    wrong_marks,
    stops,
    wrong_starts,
    starts.map(json.dumps),
    watches,
    cut_short,
    anything.map(json.dumps),
    st.builds(lambda kind, rest: json.dumps({"type": kind, "x": rest}), st.sampled_from(KINDS), anything),
    st.text(max_size=20),
    deep,
)
sounds = st.builds(
    Sound,
    st.sampled_from(["voice", "voice", "voice", "silence", "silence", "nan", "inf", "huge", "bytes"]),
    st.sampled_from([0, 1, 7, 320, 999, 1_600]),
    st.sampled_from(["pcm_s16le", "pcm_f32le"]),
    st.sampled_from([0, 0, 0, 1, 3]),
)
pieces = st.lists(st.binary(max_size=9), min_size=1, max_size=4).map(lambda parts: Pieces(tuple(parts)))
steps: st.SearchStrategy[Step] = st.one_of(
    texts, texts, texts, sounds, sounds, sounds, pieces, st.sampled_from(Act), st.just(Act.WAIT)
) | st.one_of(st.binary(max_size=9).map(Garbled), sounds)
right_openers = starts.map(json.dumps)
wrong_openers: st.SearchStrategy[Step] = st.one_of(wrong_starts, watches, texts, sounds)


@dataclass(frozen=True)
class Conversation:
    """openers: the first messages of its sockets, one after the other, and then right ones. hasty: how many
    messages follow one before `ready` is waited for.
    """

    openers: tuple[Step, ...]
    steps: tuple[Step, ...]
    hasty: int
    last: Act | None


conversations = st.builds(
    Conversation,
    st.lists(
        st.one_of(right_openers, right_openers, right_openers, wrong_openers), min_size=1, max_size=4
    ).map(tuple),
    st.lists(steps, min_size=SAID_AT_LEAST, max_size=SAID_AT_LEAST + 8).map(tuple),
    st.sampled_from([0, 0, 1, 9]),
    st.sampled_from([None, Act.BREAK, Act.CLOSE]),
)

# Through all that the protocol has a code for, whatever Hypothesis comes up with.
TOUR = Conversation(
    openers=('{"type": "stop", "at_samples": 0}',),
    steps=(
        "?",
        *(Sound("voice", 1_600), Act.WAIT, Act.TAKE_OVER, Act.WAIT, Act.BREAK),
        *(Sound("voice", 1_600), Act.WAIT, Act.COME_BACK, Act.CLAIM, Act.MISCOUNT),
        *(Act.CLOSE, Sound("voice", 1_600), Act.FLOOD, "?", Act.WAIT),
        *(Act.SHOUT, Act.WAIT, "?", Garbled(b"\xff")),
        *(Sound("silence", 320), Act.CLOSE, "?"),
    ),
    hasty=0,
    last=None,
)


# The client ---------------------------------------------------------------------------------------


@dataclass
class ReceivedSession:
    """The events of a session, over whatever sockets."""

    start: dict[str, Any]
    ready: messages.Ready
    events: dict[int, messages.ServerEvent] = field(default_factory=dict)

    def receive(self, event: messages.ServerEvent) -> None:
        """The same event may arrive again after a resume, but never another one with its number."""
        assert self.events.setdefault(event.seq, event) == event

    def check(self) -> None:
        """Checks the rules of docs/protocol.md for the events so far."""
        numbers = sorted(self.events)
        assert numbers == list(range(1, len(numbers) + 1))
        received = [self.events[number] for number in numbers]
        begun = [event.utterance for event in received if isinstance(event, messages.SpeechStarted)]
        finals = [event for event in received if isinstance(event, messages.Emotion) and event.final]
        assert begun == list(range(1, len(begun) + 1))
        # Bytes that are no samples end in `no_emotion`.
        ended = [event for event in received if event in finals or isinstance(event, messages.NoEmotion)]
        assert [event.utterance for event in ended] == begun[: len(ended)]
        for final in finals:
            assert sum(final.probabilities.values()) == pytest.approx(1)
            assert 0 <= final.start_ms < final.end_ms
        assert not [event for event in received[:-1] if isinstance(event, messages.Closed)]
        if received and isinstance(closed := received[-1], messages.Closed):
            dropped = sum(event.ms for event in received if isinstance(event, messages.Dropped))
            assert len(ended) == len(begun)
            assert len(finals) == closed.totals.utterances
            assert dropped == closed.totals.dropped_ms <= closed.totals.audio_ms


class FuzzingClient:
    """Sends all of a conversation, over as many sockets as that takes."""

    def __init__(self, url: str, conversation: Conversation) -> None:
        self._url = url
        self._conversation = conversation
        self.sent = 0
        self.codes: list[int] = []
        self.sessions: dict[str, ReceivedSession] = {}
        self._latest: ReceivedSession | None = None
        self._opened = 0
        self._answered, self._unanswered = asyncio.Event(), 0
        self._socket: ClientConnection | None = None
        self._sockets: list[ClientConnection] = []
        self._readers: list[asyncio.Task[None]] = []

    async def talk(self) -> None:
        for step in self._conversation.steps:
            if isinstance(step, Act):
                await self._act(step)
            else:
                await self._say(step)
        if self._conversation.last is None:
            await self._say(json.dumps({"type": "stop", "at_samples": 0}))
            await asyncio.wait(self._readers[-1:])
        else:
            await self._act(self._conversation.last)
        for socket in self._sockets:  # older ones without a successor are still open
            socket.transport.abort()
        for reader in self._readers:
            await reader
        for session in self.sessions.values():
            session.check()

    async def _say(self, step: Step) -> None:
        """Sends on a socket that is open when sending begins."""
        openers, hasty = self._conversation.openers, self._conversation.hasty
        if self._socket is None or self._readers[-1].done():
            await self._open(openers[self._opened] if self._opened < len(openers) else json.dumps(START))
        if self._unanswered >= hasty:
            await self._answered.wait()
        self._unanswered += 1
        await self._send(step)

    async def _send(self, step: Step) -> None:
        assert self._socket is not None
        self.sent += 1
        with suppress(ConnectionClosed):
            match step:
                case str():
                    await self._socket.send(step)
                case Sound():
                    await self._socket.send(step.data())
                case Pieces(parts):
                    await self._socket.send(parts)
                case Garbled(data):
                    await self._socket.send(data, text=True)
                    await (await self._socket.ping())  # it may be the last one

    async def _open(self, first: Step) -> None:
        self._opened += 1
        self._socket = await connect(self._url, compression=None, open_timeout=TIMEOUT_S)
        self._sockets.append(self._socket)
        self._answered, self._unanswered = asyncio.Event(), 0
        reading = self._read(self._socket, first, self._answered)
        self._readers.append(asyncio.create_task(reading, name="reader"))
        await self._send(first)

    async def _act(self, act: Act) -> None:
        socket, latest = self._socket, self._latest
        match act:
            case Act.WAIT if socket is not None:
                with suppress(ConnectionClosed):
                    await (await socket.ping())
            case Act.BREAK if socket is not None:
                socket.transport.abort()
                await asyncio.wait(self._readers[-1:])
            case Act.CLOSE if socket is not None:
                await socket.close()
                await asyncio.wait(self._readers[-1:])
            case Act.SHOUT if socket is not None:
                await self._say(Sound("bytes", MESSAGE_BYTES + 1))
            case Act.FLOOD if socket is not None:
                await self._answered.wait()
                for _ in range(40):
                    await self._send(Sound("bytes", MESSAGE_BYTES // 2))
                await self._send('{"type": "stop", "at_samples": 0}')
                await asyncio.wait(self._readers[-1:])
            case Act.COME_BACK | Act.TAKE_OVER | Act.CLAIM | Act.MISCOUNT if latest is not None:
                if act is Act.COME_BACK and socket is not None:
                    socket.transport.abort()
                    await asyncio.wait(self._readers[-1:])
                resume = {
                    "session": latest.ready.session,
                    "resume_token": "another" if act is Act.CLAIM else latest.ready.resume_token,
                    "last_seq": 2**64 if act is Act.MISCOUNT else max(latest.events, default=0),
                }
                await self._open(json.dumps(latest.start | {"resume": resume}))
            case _:
                pass

    async def _read(self, socket: ClientConnection, first: Step, answered: asyncio.Event) -> None:
        """Reads until the close. Everything received is an event, and acks increase."""
        session: ReceivedSession | None = None
        acked = 0
        try:
            while True:
                event = messages.decode_server_message(await socket.recv())
                if isinstance(event, messages.Ready):
                    assert session is None
                    assert isinstance(first, str)
                    start = {name: value for name, value in json.loads(first).items() if name != "resume"}
                    session = self.sessions.setdefault(event.session, ReceivedSession(start, event))
                    self._latest = session
                    answered.set()
                elif isinstance(event, messages.Ack):
                    assert event.received_samples >= acked  # again where a flush waits
                    acked = event.received_samples
                elif isinstance(event, messages.Waveform):
                    raise AssertionError("no published stream of this server has a waveform")
                elif event.seq:
                    assert session is not None
                    session.receive(event)
                else:
                    assert isinstance(event, messages.Error)
                    assert event.fatal
                    assert event.code != "internal"
        except ConnectionClosed as closed:
            self.codes.append(1006 if closed.rcvd is None else closed.rcvd.code)
        finally:
            answered.set()


async def neighbour(server: Server) -> tuple[list[bytes], int]:
    """A correct client: its events, without what depends on the moment, and its close code."""
    data = encode_pcm(SPEECH, "pcm_s16le")
    async with started(server) as socket:
        for first in range(0, len(data), 6_400):
            await socket.send(data[first : first + 6_400])
            await asyncio.sleep(0)
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, code = await rest(socket)
    return comparable(seen), code


async def test_whatever_clients_send_the_server_stays_up_and_others_are_not_affected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Admission control would reject most of so many sessions at once.
    monkeypatch.setattr(AdmissionController, "_share", lambda self, seconds, before: 0.0)
    monkeypatch.setattr(AdmissionController, "expect", lambda self, share: None)
    loop = asyncio.get_running_loop()
    sent = 0
    codes: set[int] = set()
    async with serving(
        transcriber=FakeTranscriber(),
        message_bytes=MESSAGE_BYTES,
        max_unacked_ms=AHEAD_MS,
        connections=2_000,
        connections_per_minute=10**9,
        resume_timeout_ms=0,
    ) as server:
        alone = await neighbour(server)
        assert len(alone[0]) == 4
        assert alone[1] == 1000
        await all_clients_are_gone(server)
        tasks = len(asyncio.all_tasks())

        async def play(conversation: Conversation) -> None:
            nonlocal sent
            client = FuzzingClient(socket_url(server), conversation)
            async with asyncio.timeout(TIMEOUT_S):
                _, beside = await asyncio.gather(client.talk(), neighbour(server))
            assert beside == alone
            sent += client.sent
            codes.update(client.codes)

        # A failure may depend on timing: it is reported as it was, without shrinking.
        @settings(fuzz, phases=[Phase.explicit, Phase.generate])
        @example(TOUR)
        @given(conversations)
        def play_all(conversation: Conversation) -> None:
            asyncio.run_coroutine_threadsafe(play(conversation), loop).result()

        # Hypothesis is synchronous: it runs in a thread beside the event loop of the server and the clients.
        await asyncio.to_thread(play_all)
        assert await neighbour(server) == alone
        await all_clients_are_gone(server)
        async with asyncio.timeout(TIMEOUT_S):
            while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - a task that ends is no event
                await asyncio.sleep(0.05)
    gc.collect()  # an unretrieved exception of a task is logged when it is collected
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert sent >= MESSAGES
    assert {1000, 1006, 1007, 1009, 4400, 4409} <= codes, codes  # 4429 depends on the speed of the machine


async def all_clients_are_gone(server: Server) -> None:
    """Sockets and sessions, as /healthz reports them."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            _, _, body = await get(server, "/healthz")
            health = json.loads(body)
            if not (health["connections"] or health["sessions"] or list(server._sessions)):
                break
            await asyncio.sleep(0.05)
    _, _, body = await get(server, "/metrics")
    assert b"\nemostream_open_sessions 0.0\n" in body


# Before there is a socket --------------------------------------------------------------------------

RIGHT = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
PATHS = [
    "/",
    "/v1/stream",
    "/healthz",
    "/metrics",
    "/v1/streams",
    "/%00",
    "*",
    "//",
    "http://[",
    "/v1/stream?x",
]
odd_values = st.sampled_from(
    [
        "localhost",
        "5",
        "",
        "[",
        "http://[",
        "null",
        "http://evil.example",
        "Bearer x",
        "Basic",
        "emostream.v1",
    ]
) | st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=12)
odd_headers = st.dictionaries(
    st.sampled_from([*RIGHT, "Origin", "Authorization", "Sec-WebSocket-Protocol", "Content-Length", "X"]),
    odd_values,
    max_size=3,
)


def request(line: str, headers: dict[str, str], doubled: str | None, end: str) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers.items())]
    lines += [] if doubled is None else [f"{doubled}: localhost"]
    return ("".join(f"{line}\r\n" for line in lines) + end).encode("latin-1")


lines = st.builds(
    "{} {} {}".format,
    st.sampled_from(["GET", "GET", "GET", "GET", "HEAD", "POST", ""]),
    st.sampled_from([*PATHS, *PATHS]) | st.text(st.characters(codec="latin-1"), max_size=8),
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", ""]),
)
requests = st.builds(
    lambda line, odd, doubled, end: request(line, RIGHT | odd, doubled, end),
    st.builds("GET {} HTTP/1.1".format, st.sampled_from(PATHS)) | lines,
    odd_headers | st.just({}),
    st.sampled_from([None, None, None, *RIGHT, "Origin", "Authorization"]),
    st.sampled_from(["\r\n", "\r\n", "\r\n", "\r\n", "", "\r\nrest"]),
)


async def test_whatever_http_request_is_answered_or_closed(caplog: pytest.LogCaptureFixture) -> None:
    """Never with an internal error of the server; failures inside websockets are not logged."""
    loop = asyncio.get_running_loop()
    statuses: set[bytes] = set()
    async with serving(connections_per_minute=10**9) as server:

        async def ask(data: bytes) -> None:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                try:
                    writer.write(data)
                    if b"\r\n\r\n" not in data:  # the server would wait for the rest
                        writer.write_eof()
                    answer = await reader.read(500)
                except ConnectionError:  # closed, with something unread
                    return
                finally:
                    writer.close()
            status = answer.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")[:3]
            assert status != b"500", answer
            statuses.add(status)

        # One for each status below, which the random ones may not reach.
        @settings(fuzz, max_examples=max(300, MESSAGES // 50))
        @given(requests | st.binary(max_size=60))
        @example(request("GET /v1/stream HTTP/1.1", RIGHT, None, "\r\n"))
        @example(request("GET / HTTP/1.1", RIGHT, None, "\r\n"))
        @example(request("GET /v1/stream HTTP/1.1", RIGHT | {"Sec-WebSocket-Key": "x"}, None, "\r\n"))
        @example(request("GET / HTTP/1.1", RIGHT | {"Host": "elsewhere"}, None, "\r\n"))
        @example(request("GET /nothing HTTP/1.1", RIGHT, None, "\r\n"))
        def ask_all(data: bytes) -> None:
            asyncio.run_coroutine_threadsafe(ask(data), loop).result()

        await asyncio.to_thread(ask_all)
        await all_clients_are_gone(server)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert {b"101", b"200", b"400", b"403", b"404"} <= statuses, statuses


@pytest.mark.parametrize("name", ["Host", "Authorization"])
async def test_a_repeated_header_is_a_client_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    # A `start` that is refused follows the handshake, masked with zeros.
    text = json.dumps(START | {"sample_rate": 1}).encode()
    frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
    headers = RIGHT | {name: "localhost"}
    async with serving() as server, asyncio.timeout(TIMEOUT_S):
        for path, expected in (
            ("/metrics", b"HTTP/1.1 "),
            ("/v1/stream", b"HTTP/1.1 101"),
            ("/v1/stream", b"code"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request(f"GET {path} HTTP/1.1", headers, name, "\r\n") + frame)
            answer = b""
            while expected not in answer and (more := await reader.read(4_096)):
                answer += more
            writer.close()
            assert expected in answer
            assert not answer.startswith(b"HTTP/1.1 5")
            assert b"internal" not in answer
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# Below the sockets ---------------------------------------------------------------------------------


@settings(fuzz, max_examples=max(500, MESSAGES // 20))
@given(texts | st.binary(max_size=60))
def test_any_message_is_decoded_or_rejected(message: str | bytes) -> None:
    understood: messages.ClientMessage | None = None
    text = "expected "
    try:
        understood = messages.decode_client_message(message)
    except ProtocolError as error:
        text = str(error)
    assert text.startswith("expected ")
    if understood is not None:
        assert messages.decode_client_message(messages.encode(understood)) == understood


@dataclass(frozen=True)
class Take:
    """The session takes its next items."""

    items: int


source_steps = st.lists(
    st.one_of(
        sounds,
        st.binary(max_size=9),
        right_marks,
        right_marks,
        texts,
        st.builds(Take, st.integers(1, 40)),
        # Many at once, so that the bounds are reached.
        st.tuples(st.sampled_from(["flush", "gap", "unknown", "sound"]), st.integers(1, 80)),
    ),
    max_size=40,
)


def deliver(source: WebSocketSource, message: str | bytes) -> None:
    """As the receiver of a socket does."""
    try:
        try:
            if isinstance(message, bytes):
                source.feed(message)
                return
            understood = messages.decode_client_message(message)
            if isinstance(understood, messages.Start | messages.Subscribe):
                raise ProtocolError("once")
            source.handle(understood)
        except ProtocolError as error:
            source.warn(error.code, str(error))
    except FlowControlError as error:
        source.fail(error)


def messages_of(kind: str, count: int) -> list[str | bytes]:
    match kind:
        case "flush":
            return [json.dumps({"type": "flush", "at_samples": 17 * i}) for i in range(count)]
        case "gap":
            return ['{"type": "gap", "ms": 86400000}'] * count
        case "unknown":
            return ["?"] * count
    return [Sound("voice", 1_600).data()] * count


@settings(fuzz, max_examples=max(200, MESSAGES // 100))
@example([b"\x1aE\xdf\xa3", Take(1)], 1)  # how WebM begins
@given(source_steps, st.sampled_from([1, 3]))
async def test_a_source_is_bounded_whatever_arrives(script: Sequence[Any], channels: int) -> None:
    """Audio by the credit plus one message, the rest by 64. Acks increase up to what was taken. It ends."""
    acks: list[int] = []
    start = messages.Start(encoding="pcm_s16le", sample_rate=8_000, channels=channels)
    source = WebSocketSource(start, 1_000, acks.append)
    taken: list[Item] = []
    longest = 0
    items = source.items()
    pending: asyncio.Task[Item] | None = None

    async def take() -> bool:
        """One item, if there is one. False at the end."""
        nonlocal pending
        if pending is None:
            pending = asyncio.ensure_future(anext(items))
        for _ in range(3):
            await asyncio.sleep(0)
        if pending.done():
            try:
                taken.append(pending.result())
            except (StopAsyncIteration, FlowControlError, NotPcmError):
                return False
            pending = None
        return True

    def audio(queued: Sequence[object]) -> int:
        return sum(len(item.block) for item in queued if isinstance(item, Pcm))

    open_ = True
    for step in script:
        match step:
            case Take(count):
                for _ in range(count):
                    open_ = open_ and await take()
            case (str(kind), int(count)):
                for message in messages_of(kind, count):
                    longest = max(longest, len(message))
                    deliver(source, message)
            case _:
                message = step.data() if isinstance(step, Sound) else step
                longest = max(longest, len(message))
                deliver(source, message)
        waiting = audio(source._queue)
        assert waiting <= 8_000 + longest // 2
        assert len([item for item in source._queue if not isinstance(item, Pcm)]) <= 65  # and the end
        assert len(source._marks) <= 64
        assert waiting + audio(taken) <= source.received_samples
        assert acks == sorted(acks)  # repeated where a flush waits
        assert not acks or acks[-1] <= audio(taken)
    source.stop()
    async with asyncio.timeout(TIMEOUT_S):
        while open_:
            open_ = await take()
    assert (acks[-1] if acks else 0) == audio(taken) <= source.received_samples
    assert sum(item.ms for item in taken if isinstance(item, AudioGap)) <= source.received_gap_ms


def test_no_number_is_too_long_for_an_error() -> None:
    """Numbers that are longer than Python would print are rejected as JSON numbers too."""
    for digits in (20, 400, 4_299, 4_301, 100_000):
        with pytest.raises(ProtocolError, match="expected"):
            source = WebSocketSource(msgspec.convert(START, messages.Start), 1_000, lambda samples: None)
            mark = messages.decode_client_message('{"type": "gap", "ms": ' + "9" * digits + "}")
            assert isinstance(mark, messages.Gap)
            source.handle(mark)


@pytest.mark.parametrize("channels", [1, 2])
async def test_samples_far_beyond_full_scale_are_handled(channels: int) -> None:
    """Finite, but their sums and squares are not: nothing is logged, and at most an error is sent to the
    client.
    """
    sound = np.full((16_000, channels), 3e38, np.float32)
    start = START | {"encoding": "pcm_f32le", "channels": channels}
    async with serving() as server, started(server, start) as socket:
        await socket.send(sound.tobytes())
        await socket.send(json.dumps({"type": "stop", "at_samples": len(sound)}))
        seen, code = await rest(socket)
    assert code == 1000
    assert {event.code for event in seen if isinstance(event, messages.Error)} <= {"invalid_samples"}
