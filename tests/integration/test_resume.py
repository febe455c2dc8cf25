"""Resume without loss: events do not depend on how often the connection breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ClientEvent, ConnectionLost, Reconnected, Retry
from emostream.streamer.client import connect as connect_client
from emostream.streamer.client.one_clock import OneClock
from emostream.streamer.errors import ConnectError
from emostream.streamer.pipeline.session import Session
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from tests.support.cutting_proxy import CuttingProxy
from tests.support.fakes import AdaptiveRecognizer, silence, voice
from tests.support.serving import SPEECH, START, errors, ready, rest, serving, socket_url, started, timeless

LONG = np.concatenate(
    [part for seed in range(6) for part in (silence(300), voice(900 + 150 * seed, seed=seed), silence(900))]
)
CUTS = 50
QUICK = Retry(attempts=20, first_s=0.01, longest_s=0.02)
START_F32 = messages.Start(
    encoding="pcm_f32le", sample_rate=16_000, channels=1, options=messages.Options(interim_results=False)
)


async def audio_with_a_gap(sound: np.ndarray) -> AsyncIterator[bytes | messages.Gap]:
    """Blocks of odd sizes, whose frames are cut in two, with a gap in a pause."""
    data, frame = encode_pcm(sound, "pcm_f32le"), 4 * sound.reshape(len(sound), -1).shape[1]
    rng = np.random.default_rng(5)
    position = 0
    while position < len(data):
        size = int(rng.integers(1, 9_000))
        yield data[position : position + size]
        if position < len(data) // 2 <= position + size:
            yield data[position + size : position + size + -(position + size) % frame]
            position += -(position + size) % frame
            yield messages.Gap(ms=700)
            yield messages.Gap(ms=45)
        position += size


async def events_of(url: str, sound: np.ndarray = LONG) -> list[ClientEvent]:
    async with connect_client(url, START_F32, retry=QUICK) as client:
        return [event async for event in client.recognize(audio_with_a_gap(sound))]


@pytest.mark.parametrize("seed", range(3))
async def test_fifty_cuts_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    async with serving(recognizer=AdaptiveRecognizer()) as server, asyncio.timeout(120):
        uncut = await events_of(socket_url(server))
        proxy = CuttingProxy(
            server.port,
            lambda: int(rng.integers(900, 30_000)) if proxy.cuts < CUTS else None,
        )
        async with proxy.running():
            cut = await events_of(f"ws://127.0.0.1:{proxy.port}/v1/stream")
    assert proxy.cuts == CUTS
    assert timeless(cut) == timeless(uncut)
    back = [event for event in cut if isinstance(event, Reconnected)]
    assert len(back) > CUTS // 3  # a cut may fall into a handshake
    assert all(one.resumed and one.lost_from_seq is None for one in back)
    finals = [event for event in cut if isinstance(event, messages.Emotion) and event.final]
    assert len(finals) == 7  # six, one of which the gap cuts in two
    assert [event.baseline_utterances for event in finals] == list(range(7))


async def test_cuts_change_nothing_in_channels_that_are_heard_apart() -> None:
    """One session, one event log: what either speaker says comes once, and in the same order."""
    rng = np.random.default_rng(7)
    call = np.stack([LONG, np.roll(LONG, 16_000 * 3 // 2)], axis=1)
    options = messages.Options(interim_results=False, channels="split")
    start = msgspec.structs.replace(START_F32, channels=2, options=options)

    async def heard(url: str) -> list[ClientEvent]:
        async with connect_client(url, start, retry=QUICK) as client:
            return [event async for event in client.recognize(audio_with_a_gap(call))]

    async with serving(recognizer=AdaptiveRecognizer()) as server, asyncio.timeout(120):
        uncut = await heard(socket_url(server))
        proxy = CuttingProxy(
            server.port,
            lambda: int(rng.integers(900, 60_000)) if proxy.cuts < CUTS else None,
        )
        async with proxy.running():
            cut = await heard(f"ws://127.0.0.1:{proxy.port}/v1/stream")
    assert proxy.cuts == CUTS
    finals = [event for event in cut if isinstance(event, messages.Emotion) and event.final]
    assert len({event.utterance for event in finals}) == len(finals)
    assert timeless(cut) == timeless(uncut)
    for channel in (1, 2):
        behind = [event.baseline_utterances for event in finals if event.channel == channel]
        assert behind == list(range(len(behind)))
        assert len(behind) >= 6


async def test_another_socket_supersedes_the_older_one() -> None:
    async with serving() as server, connect(socket_url(server)) as older:
        await older.send(json.dumps(START))
        first = await ready(older)
        await older.send(encode_pcm(SPEECH[:, None], "pcm_s16le")[:10_001])  # a frame is cut in two
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
        async with connect(socket_url(server)) as newer:
            await newer.send(json.dumps(START | {"resume": resume}))
            second = await ready(newer)
            assert (second.resumed, second.session, second.lost_from_seq) == (True, first.session, None)
            seen, code = await rest(older)
            assert (errors(seen)[-1], code) == (("session_superseded", True), 4409)
            # All of what the older one sent may not have been read when the newer one came.
            position = second.received_samples * 2
            assert position <= 10_000
            await newer.send(encode_pcm(SPEECH[:, None], "pcm_s16le")[position:])
            await newer.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen, code = await rest(newer)
        alone = await speech_alone(server)
    assert code == 1000
    assert timeless(seen) == timeless(alone)


async def speech_alone(server: Server) -> list[messages.ServerEvent]:
    async with started(server) as socket:
        await socket.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        return (await rest(socket))[0]


async def test_closed_is_sent_again_to_a_client_that_missed_it() -> None:
    async with serving() as server:
        socket = await connect(socket_url(server))
        await socket.send(json.dumps(START))
        first = await ready(socket)
        await socket.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        socket.transport.abort()
        async with connect(socket_url(server)) as again:
            resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
            await again.send(json.dumps(START | {"resume": resume}))
            second = await ready(again)
            assert second.resumed
            await again.send(encode_pcm(SPEECH[:, None], "pcm_s16le")[second.received_samples * 2 :])
            await again.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen, code = await rest(again)
        assert isinstance(seen[-1], messages.Closed)
        assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
        assert code == 1000
        # A client that got it has no session to resume.
        async with connect(socket_url(server)) as late:
            resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": len(seen)}
            await late.send(json.dumps(START | {"resume": resume}))
            third = await ready(late)
        assert (third.resumed, third.lost_from_seq) == (False, len(seen) + 1)


@pytest.mark.parametrize(
    "wrong", [{"resume_token": "not this one"}, {"session": "unknown"}], ids=["resume_token", "session"]
)
async def test_a_client_without_the_resume_token_gets_a_fresh_session(wrong: dict[str, str]) -> None:
    async with serving() as server, started_with_ready(server) as (_, first):
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 7} | wrong
        async with connect(socket_url(server)) as other:
            await other.send(json.dumps(START | {"resume": resume}))
            second = await ready(other)
        assert not second.resumed
        assert second.session != first.session
        assert second.lost_from_seq == 8


@pytest.mark.parametrize(
    ("changes", "last_seq"),
    [({"sample_rate": 8_000}, 0), ({"options": {"words": False}}, 0), ({}, 5), ({}, -1)],
)
async def test_a_resume_with_other_fields_is_rejected_and_disturbs_nothing(
    changes: dict[str, Any], last_seq: int
) -> None:
    async with serving() as server, started_with_ready(server) as (socket, first):
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": last_seq}
        async with connect(socket_url(server)) as wrong:
            await wrong.send(json.dumps(START | changes | {"resume": resume}))
            seen, code = await rest(wrong)
        assert (errors(seen), code) == ([("bad_start", True)], 4400)
        await socket.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, code = await rest(socket)
        assert code == 1000


class started_with_ready:  # noqa: N801
    """`async with`: a socket after its `ready`, and the `ready`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __aenter__(self) -> tuple[ClientConnection, messages.Ready]:
        self._socket = await connect(socket_url(self._server))
        await self._socket.send(json.dumps(START))
        return self._socket, await ready(self._socket)

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()


async def test_a_session_waits_for_its_client_for_the_resume_timeout() -> None:
    """A client that is too late gets a fresh session, never one that is about to end."""
    async with serving(resume_timeout_ms=0) as server, asyncio.timeout(60):
        socket = await connect(socket_url(server))
        await socket.send(json.dumps(START))
        first = await ready(socket)
        socket.transport.abort()
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
        resumed = True
        while resumed:  # the server enforces limits every second
            async with connect(socket_url(server)) as again:
                await again.send(json.dumps(START | {"resume": resume}))
                resumed = (await ready(again)).resumed
                await again.send(json.dumps({"type": "stop", "at_samples": 0}))
                seen, code = await rest(again)
                assert isinstance(seen[-1], messages.Closed)
                assert (seen[-1].reason, code) == ("end_of_stream", 1000)
                if resumed:  # it was in time, and took the session to its end
                    return


async def test_a_client_that_closes_normally_leaves_no_session() -> None:
    async with serving() as server:
        async with started_with_ready(server) as (socket, first):
            await socket.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        async with connect(socket_url(server)) as again:
            resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
            await again.send(json.dumps(START | {"resume": resume}))
            assert not (await ready(again)).resumed


async def test_a_crashed_session_is_not_resumed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    crashes = 0

    async def crash(self: Session) -> messages.Totals:
        nonlocal crashes
        crashes += 1
        if crashes == 1:
            raise RuntimeError("a bug of ours")
        return await run(self)

    run = Session.run
    monkeypatch.setattr(Session, "run", crash)
    async with serving() as server, asyncio.timeout(60):
        seen = await events_of(socket_url(server), SPEECH)
    (back,) = [event for event in seen if isinstance(event, Reconnected)]
    assert not back.resumed
    assert isinstance(seen[-1], messages.Closed)


def in_mid_utterance(event: ClientEvent) -> bool:
    return isinstance(event, messages.SpeechStarted) and event.utterance == 3


def behind_an_utterance(event: ClientEvent) -> bool:
    return isinstance(event, messages.Emotion) and event.utterance == 2


async def through_a_restart(
    when: Callable[[ClientEvent], bool],
    *,
    break_again: bool = False,
    sound: np.ndarray = LONG[:, None],
    start: messages.Start = START_F32,
) -> tuple[list[ClientEvent], list[ClientEvent]]:
    """The events before and after `Reconnected`, which is the first of the latter. The server is killed and
    another one takes its place, without the sessions. break_again: the next connection is cut at once.
    """
    seen: list[ClientEvent] = []
    moved = asyncio.Event()
    part = len(LONG) * 4 // 10  # in mid-utterance too

    async def audio() -> AsyncIterator[bytes]:
        yield encode_pcm(sound[:part], "pcm_f32le")
        await moved.wait()
        yield encode_pcm(sound[part:], "pcm_f32le")

    async with serving() as old, serving() as new, asyncio.timeout(60):
        proxy = MovingProxy(old.port, lambda: None)
        async with (
            proxy.running(),
            connect_client(f"ws://127.0.0.1:{proxy.port}/v1/stream", start, retry=QUICK) as client,
        ):
            async for event in client.recognize(audio()):
                seen.append(event)
                if when(event) and not moved.is_set():
                    proxy.move_to(new.port)
                    moved.set()
                if isinstance(event, Reconnected) and break_again:
                    break_again = False
                    proxy.break_all()
    first = next(i for i, event in enumerate(seen) if isinstance(event, Reconnected))
    return seen[:first], seen[first:]


def spans(events: Sequence[ClientEvent]) -> list[tuple[int, int, int]]:
    """Number, start and end of every final."""
    return [
        (event.utterance, event.start_ms, event.end_ms)
        for event in events
        if isinstance(event, messages.Emotion) and event.final
    ]


async def plain(sound: np.ndarray, start: messages.Start = START_F32) -> list[ClientEvent]:
    async with serving() as server, connect_client(socket_url(server), start) as client:

        async def audio() -> AsyncIterator[bytes]:
            yield encode_pcm(sound.reshape(len(sound), -1), "pcm_f32le")

        return [event async for event in client.recognize(audio())]


@pytest.mark.parametrize("when", [in_mid_utterance, behind_an_utterance])
@pytest.mark.parametrize("break_again", [False, True])
async def test_a_restarted_server_hears_the_utterance_in_progress_whole(
    when: Callable[[ClientEvent], bool], break_again: bool
) -> None:
    """As after kill -9: what had no final is heard again, what had one is not. The results are those of the
    rest of the audio by itself, and together those of the unbroken stream.
    """
    before, after = await through_a_restart(when, break_again=break_again)
    back = after[0]
    assert isinstance(back, Reconnected)
    assert (back.resumed, back.missing_from_ms) == (False, None)
    assert [event.resumed for event in after[1:] if isinstance(event, Reconnected)] == [True] * break_again
    clock = OneClock()
    placed = [clock.place(event) for event in server_events(before)]
    clock.reconnected(back)
    placed += [clock.place(event) for event in server_events(after)]
    unbroken = await plain(LONG)
    closed, whole = placed[-1], unbroken[-1]
    assert isinstance(closed, messages.Closed)
    assert isinstance(whole, messages.Closed)
    assert closed.totals == whole.totals
    assert [number for number, _, _ in spans(placed)] == [number for number, _, _ in spans(unbroken)]
    np.testing.assert_allclose(spans(placed), spans(unbroken), atol=40)  # the VAD starts afresh
    rest_of_it = await plain(LONG[back.clock_start_ms * 16 :])
    assert timeless(server_events(after)) == timeless(rest_of_it)


async def test_a_restarted_server_hears_each_channel_once() -> None:
    """A call, one person on each channel: one is in mid-utterance, the other has had results behind its
    beginning. Those are heard again, and do not come again.
    """
    call = np.stack([LONG, np.roll(LONG, 16_000 * 3 // 2)], axis=1)
    start = msgspec.structs.replace(
        START_F32, channels=2, options=messages.Options(interim_results=False, channels="split")
    )
    before, after = await through_a_restart(in_mid_utterance, sound=call, start=start)
    back = after[0]
    assert isinstance(back, Reconnected)
    clock = OneClock()
    placed = [clock.place(event) for event in server_events(before)]
    clock.reconnected(back)
    placed += [clock.place(event) for event in server_events(after)]
    unbroken = await plain(call, start)
    for channel in (1, 2):
        found, expected = (
            [(start, end) for _, start, end in spans([one for one in events if of_channel(one, channel)])]
            for events in (placed, unbroken)
        )
        assert len(found) == len(expected) >= 6
        np.testing.assert_allclose(found, expected, atol=60)


def of_channel(event: ClientEvent, channel: int) -> bool:
    return isinstance(event, messages.Emotion) and event.channel == channel


def server_events(events: Sequence[ClientEvent]) -> list[messages.ServerEvent]:
    return [event for event in events if not isinstance(event, ConnectionLost | Reconnected)]


async def test_a_server_that_shuts_down_is_not_the_end() -> None:
    """`closed` with `shutting_down` comes before the audio is over: the rest is for the next server, and the
    stream ends with that one's `closed`.
    """
    seen: list[ClientEvent] = []
    moved = asyncio.Event()
    half = len(LONG) // 2

    async def audio() -> AsyncIterator[bytes]:
        yield encode_pcm(LONG[:half, None], "pcm_f32le")
        await moved.wait()
        yield encode_pcm(LONG[half:, None], "pcm_f32le")

    async with serving() as new, AsyncExitStack() as shuts_down, asyncio.timeout(60):
        old = await shuts_down.enter_async_context(serving())
        proxy = MovingProxy(old.port, lambda: None)
        async with (
            proxy.running(),
            connect_client(f"ws://127.0.0.1:{proxy.port}/v1/stream", START_F32, retry=QUICK) as client,
        ):
            async for event in client.recognize(audio()):
                seen.append(event)
                if behind_an_utterance(event) and not moved.is_set():
                    old.begin_shutdown()
                    moved.set()
                if isinstance(event, ConnectionLost):
                    proxy.move_to(new.port)
    assert [event.reason for event in seen if isinstance(event, messages.Closed)] == ["end_of_stream"]
    (back,) = [event for event in seen if isinstance(event, Reconnected)]
    assert (back.resumed, back.missing_from_ms, back.lost_from_seq) == (False, None, None)
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert back.clock_start_ms + closed.totals.audio_ms == len(LONG) // 16
    ends = [end for _, _, end in spans(seen[: seen.index(back)])]
    assert ends[-1] <= back.clock_start_ms


class MovingProxy(CuttingProxy):
    """A proxy whose server restarts on another port."""

    def move_to(self, port: int) -> None:
        self._server_port = port
        self.break_all()


async def test_a_server_that_does_not_come_back_is_an_error() -> None:
    async with serving() as server:
        proxy = CuttingProxy(server.port, lambda: 20_000 if proxy.cuts == 0 else 1)
        async with proxy.running():
            with pytest.raises(ConnectError, match="tried 3 times to reconnect"):
                async with connect_client(
                    f"ws://127.0.0.1:{proxy.port}/v1/stream", START_F32, retry=Retry(3, 0.01, 0.01)
                ) as client:
                    async for _ in client.recognize(audio_with_a_gap(LONG)):
                        pass
