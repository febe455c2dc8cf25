"""While the models load, the port answers; nobody is refused between that and the server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from emostream.streamer.config import ServerSettings
from emostream.streamer.errors import ConfigError
from emostream.streamer.server.listen import bind
from emostream.streamer.server.loading import load_behind_page

SETTINGS = msgspec.structs.replace(ServerSettings(), port=0)


async def get(port: int, path: str, method: str = "GET", more: str = "") -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@asynccontextmanager
async def loading() -> AsyncIterator[tuple[int, threading.Event, asyncio.Task[str]]]:
    """The port, what ends the loading, and the task that waits for it."""
    go_on, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def load() -> str:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        return "models"

    with bind(SETTINGS) as bound:
        task = asyncio.create_task(load_behind_page(bound, SETTINGS, load))
        try:
            port: int = bound.getsockname()[1]
            await begun.wait()
            yield port, go_on, task
        finally:
            go_on.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_the_page_and_health_are_there_at_once() -> None:
    async with loading() as (port, _, _):
        status, headers, page = await get(port, "/")
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert b"<html" in page
        status, _, body = await get(port, "/healthz")
        assert status == 503
        assert (json.loads(body)["status"], json.loads(body)["models"]) == ("loading", None)


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/streams/demo/audio?from_ms=0&to_ms=1", "/metrics"])
async def test_what_needs_the_models_is_to_be_asked_again(path: str) -> None:
    async with loading() as (port, _, _):
        status, headers, body = await get(port, path)
        assert (status, headers["Retry-After"], headers["Emostream-Status"]) == (503, "1", "loading")
        assert b"try again" in body


async def test_a_session_is_to_be_tried_again() -> None:
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    async with loading() as (port, _, _):
        status, headers, _ = await get(port, "/v1/stream", more=upgrade)
        assert (status, headers["Retry-After"]) == (503, "1")


async def test_other_methods_and_hosts_are_answered_as_by_the_server() -> None:
    async with loading() as (port, _, _):
        assert (await get(port, "/v1/audio/transcriptions", "POST"))[0] == 503
        status, _, body = await get(port, "/", "HEAD")
        assert (status, body) == (200, b"")
        assert (await get(port, "/healthz", more="Host: elsewhere.example\r\n"))[0] == 403


async def test_the_port_listens_on_when_the_models_are_loaded() -> None:
    async with loading() as (port, go_on, task):
        go_on.set()
        assert await task == "models"
        _, writer = await asyncio.open_connection("127.0.0.1", port)  # waits for the server that follows
        writer.close()


async def test_an_error_of_the_models_reaches_the_caller() -> None:
    def fail() -> None:
        raise ConfigError("expected models")

    with bind(SETTINGS) as bound, pytest.raises(ConfigError, match="expected models"):
        await load_behind_page(bound, SETTINGS, fail)


async def test_ctrl_c_does_not_wait_for_the_models() -> None:
    async with loading() as (_, go_on, task):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not go_on.is_set()
