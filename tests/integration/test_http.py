"""Plain HTTP on the server's port: other methods than GET, half-open connections, a proxy's path."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emostream.streamer.client import connect as connect_client
from emostream.streamer.protocol import messages
from emostream.streamer.server.incoming import HTTP_RESERVE
from tests.support.serving import START, errors, ready, rest, serving, socket_url, started
from tests.support.stripping_proxy import StrippingProxy
from tests.support.waiting import until


async def exchange(port: int, *parts: bytes) -> bytes:
    """Everything that the server answers to these bytes, sent one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/v1/stream", "/healthz"])
async def test_other_methods_are_answered(method: str, path: str) -> None:
    """With a body that is larger than the server reads at once: the client still gets the answer."""
    body = b"x" * 200_000
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with serving() as server:
        answer = await exchange(server.port, head[:3], head[3:], body)
    status, _, rest_of_it = answer.partition(b"\r\n")
    headers, _, text = rest_of_it.partition(b"\r\n\r\n")
    assert status == b"HTTP/1.1 405 Method Not Allowed"
    assert b"Allow: GET, HEAD" in headers
    assert text.decode() == f"expected GET, got {method}; audio goes over the websocket at /v1/stream\n"


async def test_a_header_that_is_no_text_is_a_bad_request(caplog: pytest.LogCaptureFixture) -> None:
    request = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Name: a\x01\x7f\r\n\r\n"
    async with serving() as server:
        answer = await exchange(server.port, request)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"got others in x-name; correct it\n")
    assert not caplog.records


async def test_head_is_get_without_the_body() -> None:
    async with serving() as server:
        answers = [
            await exchange(server.port, f"{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            for method in ("GET", "HEAD")
        ]
    (got, body), (head, nothing) = (answer.split(b"\r\n\r\n", 1) for answer in answers)
    assert body
    assert nothing == b""
    dated = re.compile(rb"\r\nDate: [^\r]*")
    assert dated.sub(b"", head) == dated.sub(b"", got)


async def test_connections_whose_handshake_does_not_end_count() -> None:
    """Half-open ones take the places of sockets, and beyond a reserve for plain HTTP they are cut off."""
    async with serving(connections=3) as server:
        half_open = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for _, writer in half_open:
            writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: ")
            await writer.drain()
        async with started(server):
            with pytest.raises(InvalidStatus) as refused:
                await connect(socket_url(server))
            assert refused.value.response.status_code == 503
            assert b"200 OK" in await exchange(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            more = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(HTTP_RESERVE)]
            async with asyncio.timeout(30):
                assert await more[-1][0].read() == b""
        for _, writer in (*half_open, *more):
            writer.close()
        await until(lambda: server._incoming.count == 0)
        async with connect(socket_url(server)):
            pass


async def test_a_flood_is_a_line_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(connections_per_minute=2) as server:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"",
            b"GET / HTTP/9\r\n\r\n",
        ):
            for _ in range(3):
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(garbage)
                writer.close()
        await until(lambda: bool(caplog.records))
    assert all(record.exc_info is None for record in caplog.records)
    assert {record.name for record in caplog.records} == {"emostream.streamer.server.incoming"}
    assert re.fullmatch(
        r"0 connections were refused .*, \d+ ended without a valid request", caplog.messages[0]
    )


class References(HTMLParser):
    """The addresses in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def fetch(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.headers["Content-Type"], response.read().decode("utf-8", "replace")


def load_page(url: str) -> list[str]:
    """Fetch the page and, as a browser does, everything that it and its modules name."""
    _, html = fetch(url)
    references = References()
    references.feed(html)
    waiting = [urljoin(url, found) for found in references.found if not found.startswith(("#", "http"))]
    loaded: list[str] = []
    while waiting:
        address = waiting.pop()
        if address in loaded:
            continue
        loaded.append(address)
        content_type, text = fetch(address)
        if "javascript" in content_type:
            for name in re.findall(r'(?:from|import|new URL\()\s*"(\.{0,2}/[^"]*)"', text):
                waiting.append(urljoin(address, name))
    return loaded


async def test_the_page_works_below_a_proxy_s_path() -> None:
    async with serving() as server:
        proxy = StrippingProxy(server.port, "/voice")
        async with proxy.running():
            loaded = await asyncio.to_thread(load_page, f"http://127.0.0.1:{proxy.port}/voice/")
            url = f"ws://127.0.0.1:{proxy.port}/voice/v1/stream"
            start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
            async with connect_client(url, start) as client:
                await client.stop()
                assert [type(event) for event in [event async for event in client]] == [messages.Closed]
    assert proxy.outside == []
    assert {"main.js", "worklet.js", "style.css"} <= {address.rpartition("/")[2] for address in loaded}


async def test_an_unknown_subprotocol_is_told() -> None:
    async with serving() as server:
        url = socket_url(server)
        async with connect(url, subprotocols=["emostream.v9"]) as socket:  # type: ignore[list-item]
            seen, code = await rest(socket)
    assert (errors(seen), code) == ([("bad_start", True)], 4400)
    error = seen[0]
    assert isinstance(error, messages.Error)
    assert error.message == "expected subprotocol emostream.v1, got emostream.v9; offer it, or none"


async def test_unknown_fields_are_told_and_ignored() -> None:
    start = START | {"lang": "en", "options": {"words": False, "interim": False}}
    async with serving() as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(start))
        await ready(socket)
        await socket.send('{"type": "stop"}')
        seen, code = await rest(socket)
    assert errors(seen) == [("bad_message", False)] * 2
    assert [getattr(event, "message", "") for event in seen[:2]] == [
        f"expected a field of `start`, got {name!r}: it is ignored; see /v1/schema.json"
        for name in ("lang", "options.interim")
    ]
    assert code == 1000
