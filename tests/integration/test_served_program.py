"""`emostream serve` as a service: SIGTERM drains it, kill -9 loses no more than is reported to clients."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ClientEvent, Reconnected, Retry, connect
from emostream.streamer.protocol import messages
from tests.support.programs import SMALL_MODEL, TIMEOUT_S, Running, free_port, running

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))


def pcm(seconds: float, start: float = 0.0) -> bytes:
    sound = decode_file(RECORDING)[int(start * 16_000) : int((start + seconds) * 16_000)]
    return encode_pcm(sound[:, None], "pcm_s16le")


def serve(port: int, *flags: str) -> list[str]:
    return ["serve", *SMALL_MODEL, "--port", str(port), *flags]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
async def test_sigterm_drains_the_finals() -> None:
    """In mid-speech: the utterance in progress is classified, `closed` follows, the exit status is 0."""
    port = free_port()
    with running(*serve(port, "--log-format", "json")) as server:
        await asyncio.to_thread(server.wait_for, '"listening"')
        async with asyncio.timeout(TIMEOUT_S), connect(f"ws://127.0.0.1:{port}/v1/stream", START) as client:
            await client.send(pcm(4.0))
            seen: list[ClientEvent] = []
            async for event in client:
                seen.append(event)
                if isinstance(event, messages.SpeechStarted) and event.utterance == 1:
                    server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, TIMEOUT_S) == 0
    finals = [event for event in seen if isinstance(event, messages.Emotion) and event.final]
    assert finals
    closed = seen[-1]
    assert isinstance(closed, messages.Closed)
    assert closed.reason == "shutting_down"
    begun = {event.utterance for event in seen if isinstance(event, messages.SpeechStarted)}
    assert begun == {event.utterance for event in finals}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
async def test_kill_9_and_a_restart_between_two_utterances() -> None:
    port = free_port()
    restarted = asyncio.Event()
    seen: list[ClientEvent] = []

    async def audio() -> AsyncIterator[bytes]:
        yield pcm(5.0)
        await restarted.wait()
        yield pcm(5.0, start=5.0)

    async def restart(old: Running) -> None:
        old.process.send_signal(signal.SIGKILL)
        old.process.wait()
        fresh = programs.enter_context(running(*serve(port)))
        await asyncio.to_thread(fresh.wait_for, "Listening on")
        restarted.set()

    with ExitStack() as programs:
        server = programs.enter_context(running(*serve(port)))
        await asyncio.to_thread(server.wait_for, "Listening on")
        url = f"ws://127.0.0.1:{port}/v1/stream"
        restarting: asyncio.Task[None] | None = None
        async with asyncio.timeout(TIMEOUT_S), connect(url, START, retry=Retry(200, 0.2, 0.5)) as client:
            async for event in client.recognize(audio()):
                seen.append(event)
                if isinstance(event, messages.Emotion) and event.final and restarting is None:
                    restarting = asyncio.create_task(restart(server))
        assert restarting is not None
        await restarting
    (back,) = [event for event in seen if isinstance(event, Reconnected)]
    before, after = seen[: seen.index(back)], seen[seen.index(back) + 1 :]
    assert not back.resumed
    assert back.lost_from_seq == 1 + sum(not isinstance(event, Reconnected) for event in before)
    assert back.missing_from_ms == max(
        event.end_ms for event in before if isinstance(event, messages.Emotion) and event.final
    )
    assert isinstance(after[-1], messages.Closed)
    assert any(isinstance(event, messages.Emotion) and event.final for event in after)
    assert back.clock_start_ms + after[-1].totals.audio_ms == 10_000
