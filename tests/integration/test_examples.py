"""The examples run as their docstrings describe, against a server with fake models."""

from __future__ import annotations

import asyncio
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.models import LABELS
from emostream.streamer.client import ClientEvent, ConnectionLost, Reconnected, Retry, subscribe
from emostream.streamer.errors import ConnectError
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.cutting_proxy import CuttingProxy
from tests.support.events import emotion_event
from tests.support.serving import serving, socket_url
from tests.support.shared import REPO

EXAMPLES = REPO / "examples"
TOTALS = messages.Totals(audio_ms=9_000, utterances=3, dropped_ms=0)


async def run_example(name: str, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_the_file_client_prints_a_line_per_utterance() -> None:
    recording = str(files("emostream.demo") / "recording.ogg")
    async with serving() as server:
        status, out, error = await run_example("file_client.py", recording, socket_url(server))
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert len(lines) >= 5
    assert all(line.split()[2] in LABELS for line in lines)


async def test_the_overlay_keeps_the_last_label(tmp_path: Path) -> None:
    event_log = EventLog("s")
    for event in (emotion_event(1, "sad"), emotion_event(2, "angry", final=False)):
        event_log.append(event)
    event_log.end(messages.Closed(reason="end_of_stream", totals=TOTALS))
    async with serving(streams=[PublishedStream("microphone", "A microphone", None, event_log)]) as server:
        status, _, error = await run_example("label_overlay.py", str(tmp_path / "x.txt"), socket_url(server))
    assert (status, error) == (0, "")
    assert (tmp_path / "x.txt").read_text() == "angry? 80%\n"


CLIENTS = ("file_client.py", "label_overlay.py", "microphone_client.py")


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_example_without_a_server_reports_it(name: str, tmp_path: Path) -> None:
    if name == "microphone_client.py":
        pytest.skip("it opens a microphone first, which this machine need not have")
    recording = str(files("emostream.demo") / "recording.ogg")
    first = recording if name == "file_client.py" else str(tmp_path / "x.txt")
    status, _, error = await run_example(name, first, "ws://127.0.0.1:9/v1/stream")
    assert status == 1
    assert "expected an emostream server at ws://127.0.0.1:9" in error.splitlines()[-1]


async def test_an_example_without_its_recording_reports_it(tmp_path: Path) -> None:
    status, _, error = await run_example("recognize_file.py", str(tmp_path / "nothing.wav"))
    assert status == 1
    assert "no such file" in error.splitlines()[-1]


async def test_a_subscriber_whose_connection_breaks_misses_nothing() -> None:
    event_log = EventLog("s")
    event_log.append(emotion_event(1, "sad"))
    seen: list[ClientEvent] = []
    async with (
        serving(streams=[PublishedStream("own", "A stream", None, event_log)]) as server,
        asyncio.timeout(30),
    ):
        proxy = CuttingProxy(server.port, lambda: None)
        async with proxy.running():
            url = f"ws://127.0.0.1:{proxy.port}/v1/stream"
            async for event in subscribe(url, "own", retry=Retry(9, 0.01, 0.01)):
                seen.append(event)
                if not isinstance(event, messages.Emotion):
                    continue
                if event.utterance % 3 == 0:
                    proxy.break_all()
                if event.utterance < 11:
                    event_log.append(emotion_event(event.utterance + 1, "sad"))
                else:
                    event_log.end(messages.Closed(reason="end_of_stream", totals=TOTALS))
    numbers = [event.seq for event in seen if not isinstance(event, ConnectionLost | Reconnected)]
    assert numbers == list(range(1, 13))
    reconnected = [event for event in seen if isinstance(event, Reconnected)]
    assert [event.resumed for event in reconnected] == [True] * 3


async def test_an_unknown_stream_is_an_error_with_its_name() -> None:
    async with serving() as server:
        with pytest.raises(ConnectError, match="got 'own'"):
            async for _ in subscribe(socket_url(server), "own"):
                pass
