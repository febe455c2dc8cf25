"""Sessions over real sockets on the loopback, with fake models."""

from __future__ import annotations

import asyncio
import json

import jsonschema
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.protocol import messages
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.serving import SPEECH, START, errors, get, rest, serving, socket_url, started, stream
from tests.support.streams import comparable, finals, kinds


@pytest.mark.short
async def test_a_session_from_ready_to_closed() -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        seen = await stream(server, SPEECH)
    assert sorted(kinds(seen)) == ["Closed", "Emotion", "Emotion", "SpeechStarted", "SpeechStarted"]
    assert [event.seq for event in seen] == [1, 2, 3, 4, 5]
    assert [final.text for final in finals(seen)] == ["1400 milliseconds", "1000 milliseconds"]


@pytest.mark.parametrize("block", [7, 320, len(SPEECH)])
async def test_the_size_of_the_messages_does_not_matter(block: int) -> None:
    sound = SPEECH if block > 100 else SPEECH[: 16 * 1_900]
    async with serving(transcriber=FakeTranscriber()) as server:
        assert comparable(await stream(server, sound, block)) == comparable(await stream(server, sound))


async def test_every_message_matches_the_schema() -> None:
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
    ("message", "error_code"),
    [
        ("{", "bad_message"),
        ('{"type": "dance"}', "bad_message"),
        ('{"type": "flush", "at_samples": "now"}', "bad_message"),
        ('{"type": "flush", "at_samples": -1}', "bad_message"),
        ('{"type": "gap", "ms": 0}', "bad_message"),
        ('{"type": "gap", "ms": 1e300}', "bad_message"),
        (json.dumps(START), "bad_message"),
        ('{"type": "subscribe", "stream": "demo"}', "bad_message"),
        ("\u0000", "bad_message"),
    ],
)
async def test_a_bad_message_is_an_error_and_the_session_goes_on(message: str, error_code: str) -> None:
    async with serving() as server:
        neighbour = asyncio.create_task(stream(server, SPEECH))
        async with started(server) as socket:
            await socket.send(message)
            await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
            await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen, code = await rest(socket)
        assert errors(seen) == [(error_code, False)]
        assert (len(finals(seen)), code) == (2, 1000)
        assert errors(await neighbour) == []


@pytest.mark.parametrize(
    ("first", "error_code"),
    [
        pytest.param(b"\x00\x00", "bad_start", id="audio"),
        pytest.param("nonsense", "bad_start", id="no JSON"),
        pytest.param('{"type": "stop", "at_samples": 0}', "bad_start", id="stop"),
        pytest.param(json.dumps(START | {"encoding": "mp3"}), "bad_start", id="encoding"),
        pytest.param(json.dumps(START | {"sample_rate": 0}), "bad_start", id="rate 0"),
        pytest.param(json.dumps(START | {"sample_rate": 2**31}), "bad_start", id="rate 2^31"),
        pytest.param(json.dumps(START | {"channels": 65}), "bad_start", id="channels"),
        pytest.param(json.dumps(START | {"options": {"min_silence_ms": 5}}), "bad_start", id="silence"),
        pytest.param(json.dumps(START | {"options": {"max_utterance_ms": 60_000}}), "bad_start", id="length"),
        pytest.param('{"type": "subscribe", "stream": "nowhere"}', "unknown_stream", id="stream"),
    ],
)
async def test_a_bad_start_is_an_error_and_the_socket_closes(first: str | bytes, error_code: str) -> None:
    async with serving() as server, connect(socket_url(server)) as socket:
        await socket.send(first)
        seen, code = await rest(socket)
    assert errors(seen) == [(error_code, True)]
    assert code == 4400


async def test_a_client_that_sends_nothing_is_rejected() -> None:
    async with serving(start_timeout_ms=100) as server, connect(socket_url(server)) as socket:
        seen, code = await rest(socket)
    assert errors(seen) == [("bad_start", True)]
    assert code == 4400


async def test_a_client_past_its_credit_is_closed_and_what_it_sent_is_classified() -> None:
    piece = encode_pcm(np.concatenate([voice(1_000), silence(5_000)]), "pcm_s16le")
    async with serving(max_unacked_ms=1_000) as server, started(server) as socket:
        # Six seconds are one message past the credit; what follows before the ack is too much.
        for _ in range(40):
            await socket.send(piece)
        seen, code = await rest(socket)
    assert errors(seen) == [("flow_control_exceeded", True)]
    assert code == 4429
    assert finals(seen)
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.reason == "error"
    assert closed.totals.audio_ms >= 6_000


async def test_the_client_waits_for_credit() -> None:
    sound = np.concatenate([SPEECH] * 4)
    async with serving(max_unacked_ms=1_000) as server:
        seen = await stream(server, sound, block=len(sound))
    assert errors(seen) == []
    assert len(finals(seen)) == 8


async def test_flush_and_stop_ahead_of_the_audio_wait_for_it() -> None:
    half = 16 * 800  # in the middle of the first utterance
    async with serving() as server, started(server) as socket:
        await socket.send(json.dumps({"type": "flush", "at_samples": half}))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
        await socket.send(encode_pcm(voice(500), "pcm_s16le"))  # after the stop: ignored
        seen, code = await rest(socket)
    first, second, third = finals(seen)
    assert (first.reason, first.end_ms, second.start_ms) == ("flush", 800, 800)
    assert third.end_ms < len(SPEECH) // 16
    assert code == 1000
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.totals.audio_ms == len(SPEECH) // 16


async def test_a_flush_sent_twice_is_one() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(encode_pcm(SPEECH[: 16 * 800], "pcm_s16le"))
        for _ in range(2):
            await socket.send(json.dumps({"type": "flush", "at_samples": 16 * 800}))
        await socket.send(encode_pcm(SPEECH[16 * 800 :], "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, _ = await rest(socket)
    assert [final.reason for final in finals(seen)] == ["flush", "silence", "silence"]


async def test_a_gap_is_a_dropped_event() -> None:
    async with serving() as server, started(server) as socket:
        await socket.send(json.dumps({"type": "gap", "ms": 2_000}))
        await socket.send(encode_pcm(SPEECH, "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
        seen, _ = await rest(socket)
    assert isinstance(seen[0], messages.Dropped)
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


async def test_resume_of_an_unknown_session_reports_what_is_lost() -> None:
    resume = START | {"resume": {"session": "gone", "resume_token": "x", "last_seq": 41}}
    async with serving() as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(resume))
        ready = messages.decode_server_message(await socket.recv())
    assert isinstance(ready, messages.Ready)
    assert (ready.resumed, ready.lost_from_seq) == (False, 42)


async def test_sessions_have_resume_tokens_of_their_own() -> None:
    async with serving() as server:
        seen = []
        for _ in range(2):
            async with connect(socket_url(server)) as socket:
                await socket.send(json.dumps(START))
                ready = messages.decode_server_message(await socket.recv())
                assert isinstance(ready, messages.Ready)
                seen += [ready.session, ready.resume_token]
    assert len(set(seen)) == 4
    assert all(len(resume_token or "") >= 16 for resume_token in seen)


async def test_a_client_is_told_what_waits_and_what_is_committed() -> None:
    """A flush that waits is in an ack; and after the final of an utterance, that its audio is committed."""
    async with serving() as server, started(server) as socket:
        await socket.send('{"type": "flush", "at_samples": 1000}')
        assert await next_ack(socket) == messages.Ack(
            received_samples=0, committed_samples=0, waiting_samples=1_000
        )
        await socket.send(encode_pcm(SPEECH[:, None], "pcm_s16le"))
        await socket.send('{"type": "stop"}')
        seen: list[messages.ServerMessage] = []
        while not (seen and isinstance(seen[-1], messages.Closed)):
            seen.append(messages.decode_server_message(await socket.recv()))
    acks = [message for message in seen if isinstance(message, messages.Ack)]
    assert all(ack.waiting_samples is None for ack in acks)
    committed = [ack.committed_samples or 0 for ack in acks]
    assert committed == sorted(committed)
    # All of what has its final before the ack, and nothing of an utterance without one.
    starts = {
        message.utterance: message.start_ms * 16
        for message in seen
        if isinstance(message, messages.SpeechStarted)
    }
    ends: dict[int, int] = {}
    for message in seen:
        if isinstance(message, messages.Emotion) and message.final:
            ends[message.utterance] = message.end_ms * 16
        if isinstance(message, messages.Ack):
            pending = [start for number, start in starts.items() if number not in ends]
            assert (message.committed_samples or 0) <= min(pending, default=len(SPEECH))
    assert len(ends) == 2
    assert committed[-1] >= ends[1]


async def next_ack(socket: ClientConnection) -> messages.Ack:
    while not isinstance(message := messages.decode_server_message(await socket.recv()), messages.Ack):
        pass
    return message
