"""A web page of another origin gets nothing from a loopback server, even with DNS rebinding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.server.app import Server
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import BROWSER_TEST, Pages
from tests.support.serving import serving

pytestmark = BROWSER_TEST

# What a page can try: to read, and to open a socket, which returns its close code and what it received.
TRY = """async ([base]) => {
    const read = async (path) => {
        try {
            const response = await fetch(base + path);
            return `${response.status} ${await response.text()}`;
        } catch { return "blocked"; }
    };
    const subscribe = () => new Promise((resolve) => {
        const socket = new WebSocket(base.replace("http", "ws") + "/v1/stream", "emostream.v1");
        const received = [];
        socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", stream: "own"}));
        socket.onmessage = ({data}) => received.push(JSON.parse(data).code ?? JSON.parse(data).type);
        socket.onclose = ({code}) => resolve([code, received]);
    });
    return {streams: await read("/v1/streams"), metrics: await read("/metrics"), socket: await subscribe()};
}"""
# Recent browsers refuse some of this themselves; others do not, and the server must not depend on them.
OWN_CHECKS = "LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,BlockInsecurePrivateNetworkRequests"
TITLE = "a private stream"


async def page_at(pages: Pages, address: str) -> Page:
    """A page of the attacker's at this address, in a browser whose DNS the attacker controls."""
    page = await pages.open(
        "--host-resolver-rules=MAP evil.example 127.0.0.1", f"--disable-features={OWN_CHECKS}"
    )
    await page.route(
        address, lambda route: route.fulfill(content_type="text/html", body="<title>evil</title>")
    )
    await page.goto(address)
    return page


@asynccontextmanager
async def publishing(**settings: Any) -> AsyncIterator[Server]:
    async with serving(streams=[PublishedStream("own", TITLE, None, EventLog("s"))], **settings) as server:
        yield server


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_page_of_another_origin_gets_nothing(pages: Pages, scheme: str) -> None:
    async with publishing() as server:
        page = await page_at(pages, f"{scheme}://evil.example/")
        found = await page.evaluate(TRY, [server.url])
    assert (found["streams"], found["metrics"]) == ("blocked", "blocked")
    assert found["socket"] == [4403, ["origin_not_allowed"]]


async def test_a_name_that_is_rebound_to_the_loopback_gets_nothing(pages: Pages) -> None:
    """The page came from the attacker's own server; now its name, and so its origin, is this one's."""
    async with publishing() as server:
        base = f"http://evil.example:{server.port}"
        page = await page_at(pages, f"{base}/")
        found = await page.evaluate(TRY, [base])
    assert found["streams"].startswith("403 ")
    assert found["metrics"].startswith("403 ")
    assert TITLE not in found["streams"]
    assert found["socket"] == [4403, ["origin_not_allowed"]]


async def test_a_page_of_an_allowed_origin_can_subscribe(pages: Pages) -> None:
    """The same tries, so that the refusals above are not the browser's own."""
    async with publishing(allow_origins=("http://evil.example",)) as server:
        page = await page_at(pages, "http://evil.example/")
        received = await page.evaluate(
            """([base]) => new Promise((resolve) => {
                const socket = new WebSocket(base.replace("http", "ws") + "/v1/stream", "emostream.v1");
                socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", stream: "own"}));
                socket.onmessage = ({data}) => resolve(JSON.parse(data).type);
            })""",
            [server.url],
        )
    assert received == "ready"
