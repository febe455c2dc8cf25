"""`emostream serve` as a service: SIGTERM drains it, kill -9 loses nothing that clients sent."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ClientEvent, ConnectionLost, Retry, connect
from emostream.streamer.errors import ConnectError
from emostream.streamer.protocol import messages
from tests.support.programs import SMALL_MODEL, TIMEOUT_S, free_port, run, running

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))


def pcm(seconds: float, start: float = 0.0) -> bytes:
    sound = decode_file(RECORDING)[int(start * 16_000) : int((start + seconds) * 16_000)]
    return encode_pcm(sound[:, None], "pcm_s16le")


def serve(port: int, *flags: str) -> list[str]:
    return ["serve", *SMALL_MODEL, "--port", str(port), *flags]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
async def test_sigterm_drains_the_finals() -> None:
    """In mid-speech: the utterance in progress is classified, `closed` follows, the exit status is 0. The
    client waits for another server, and there is none.
    """
    port = free_port()
    with running(*serve(port, "--log-format", "json")) as server:
        await asyncio.to_thread(server.wait_for, '"listening"')
        seen: list[ClientEvent] = []

        async def listen() -> None:
            url = f"ws://127.0.0.1:{port}/v1/stream"
            async with asyncio.timeout(TIMEOUT_S), connect(url, START, retry=Retry(1, 0.1, 0.1)) as client:
                await client.send(pcm(4.0))
                async for event in client:
                    seen.append(event)
                    if isinstance(event, messages.SpeechStarted) and event.utterance == 1:
                        server.process.send_signal(signal.SIGTERM)

        with pytest.raises(ConnectError, match=r"emostream serve.*tried 1 time to reconnect"):
            await listen()
        assert await asyncio.to_thread(server.process.wait, TIMEOUT_S) == 0
    finals = [event for event in seen if isinstance(event, messages.Emotion) and event.final]
    assert finals
    (lost,) = [event for event in seen if isinstance(event, ConnectionLost)]
    assert "1001" in lost.reason
    begun = {event.utterance for event in seen if isinstance(event, messages.SpeechStarted)}
    assert begun == {event.utterance for event in finals}


def client_of(port: int) -> list[str]:
    return ["client", str(RECORDING), "--url", f"ws://127.0.0.1:{port}/v1/stream"]


def started(line: str, utterance: int) -> bool:
    event = json.loads(line)
    return bool(event["type"] == "speech_started" and event["utterance"] == utterance)


def finals_of(lines: Sequence[str]) -> list[tuple[int, int, int]]:
    """Number, start and end of every utterance with a result."""
    events = [json.loads(line) for line in lines]
    return [
        (event["utterance"], event["start_ms"], event["end_ms"])
        for event in events
        if event["type"] in ("emotion", "no_emotion")
    ]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_kill_9_and_a_restart_in_mid_utterance() -> None:
    """The command-line client says that it reconnects, and its results are those of an undisturbed run: the
    utterance in progress comes whole, and no other twice.
    """
    port = free_port()
    with ExitStack() as programs:
        server = programs.enter_context(running(*serve(port)))
        server.wait_for("Listening on")
        undisturbed = run(*client_of(port), "--fast")
        client = programs.enter_context(running(*client_of(port)))
        assert client.process.stdout is not None
        lines: list[str] = []
        killed = False
        for line in client.process.stdout:
            lines.append(line)
            if started(line, 2) and not killed:  # it is heard again, under the same number
                killed = True
                server.process.kill()
                server.process.wait()
                client.wait_for(
                    "^emostream: the connection is lost, got a connection that broke.*reconnecting"
                )
                server = programs.enter_context(running(*serve(port)))
        client.wait_for(
            r"no longer has the session: it hears again what came after \d+\.\d s; nothing is missing"
        )
        assert client.process.wait(TIMEOUT_S) == 0
    assert undisturbed.returncode == 0
    whole = finals_of(undisturbed.stdout.splitlines())
    assert [number for number, _, _ in finals_of(lines)] == [number for number, _, _ in whole]
    for found, expected in zip(finals_of(lines), whole, strict=True):
        assert found == pytest.approx(expected, abs=60)  # the detector of voice activity begins afresh
    closed = [json.loads(text[-1]) for text in (lines, undisturbed.stdout.splitlines())]
    assert closed[0]["totals"] == closed[1]["totals"]
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_server_that_does_not_come_back_is_a_failure() -> None:
    """Not the end of the results: the exit status and the last line say how far they reach."""
    port = free_port()
    with running(*serve(port)) as server:
        server.wait_for("Listening on")
        with running(*client_of(port)) as client:
            assert client.process.stdout is not None
            for line in client.process.stdout:
                if started(line, 1):
                    server.process.send_signal(signal.SIGTERM)
                    client.wait_for("the connection is lost, got close code 1001; reconnecting")
                    client.process.send_signal(signal.SIGINT)
            client.wait_for(
                r"expected the last finals .* got no connection to the server; the results end at \d"
            )
            assert client.process.wait(TIMEOUT_S) == 2
