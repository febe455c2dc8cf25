"""Clients and server in uvloop, another event loop than asyncio's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from emostream import Emotion, connect, connect_sync
from tests.support.serving import SPEECH, serving
from tests.support.wav_file import wav_bytes

uvloop = pytest.importorskip("uvloop", reason="expected uvloop, found none (pip install uvloop)")


def test_clients_and_server_work_in_uvloop(tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    recording.write_bytes(wav_bytes(SPEECH))

    def blocking(url: str) -> int:
        with connect_sync(url, audio=recording) as stream:
            return sum(isinstance(event, Emotion) and event.final for event in stream)

    async def main() -> list[int]:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with serving() as server:
            url = server.url.replace("http", "ws")
            async with connect(url, audio=recording) as stream:
                streamed = [event async for event in stream if isinstance(event, Emotion) and event.final]
            async with httpx.AsyncClient(base_url=server.url) as client:
                form = {"response_format": "verbose_json"}
                path, file = "/v1/audio/transcriptions", recording.read_bytes()
                response = await client.post(path, files={"file": file}, data=form)
            return [
                len(streamed),
                await asyncio.to_thread(blocking, url),
                len(response.json()["segments"]),
            ]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == [2, 2, 2]
