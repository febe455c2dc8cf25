"""A web page from elsewhere cannot listen to a loopback server: tried in the browser, with DNS rebinding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.server.app import Server
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import CHROMIUM, FLAGS, needs_chromium
from tests.support.serving import serving

# What a page can try: to read, and to talk. A socket tells its code and what it heard.
TRY = """async ([base]) => {
    const read = async (path) => {
        try {
            const answer = await fetch(base + path);
            return `${answer.status} ${await answer.text()}`;
        } catch { return "blocked"; }
    };
    const listen = () => new Promise((resolve) => {
        const socket = new WebSocket(base.replace("http", "ws") + "/v1/stream", "emostream.v1");
        const heard = [];
        socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", stream: "own"}));
        socket.onmessage = ({data}) => heard.push(JSON.parse(data).code ?? JSON.parse(data).type);
        socket.onclose = ({code}) => resolve([code, heard]);
    });
    return {streams: await read("/v1/streams"), metrics: await read("/metrics"), socket: await listen()};
}"""
# Recent browsers refuse some of this by themselves; others do not, and the server must not lean on them.
OWN_CHECKS = "LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,BlockInsecurePrivateNetworkRequests"
SECRET = "a stream that nobody else knows of"


@asynccontextmanager
async def page_at(address: str) -> AsyncIterator[Page]:
    """A page of the attacker's at this address, in a browser whose DNS the attacker has in hand."""
    flags = [*FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1", f"--disable-features={OWN_CHECKS}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            page = await browser.new_page()
            await page.route(
                address, lambda route: route.fulfill(content_type="text/html", body="<title>evil</title>")
            )
            await page.goto(address)
            yield page
        finally:
            await browser.close()


@asynccontextmanager
async def house(**settings: Any) -> AsyncIterator[Server]:
    async with serving(streams=[PublishedStream("own", SECRET, None, EventLog("s"))], **settings) as server:
        yield server


@needs_chromium
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_page_from_elsewhere_reads_nothing_and_is_told_nothing(scheme: str) -> None:
    async with house() as server, page_at(f"{scheme}://evil.example/") as page:
        found = await page.evaluate(TRY, [server.url])
    assert (found["streams"], found["metrics"]) == ("blocked", "blocked")
    assert found["socket"] == [4403, ["origin_not_allowed"]]


@needs_chromium
async def test_a_name_that_was_bound_anew_to_the_loopback_reads_nothing() -> None:
    """The page came from the attacker's own server; now its name, and so its origin, is this one's."""
    async with house() as server:
        base = f"http://evil.example:{server.port}"
        async with page_at(f"{base}/") as page:
            found = await page.evaluate(TRY, [base])
    assert found["streams"].startswith("403 ")
    assert found["metrics"].startswith("403 ")
    assert SECRET not in found["streams"]
    assert found["socket"] == [4403, ["origin_not_allowed"]]


@needs_chromium
async def test_a_page_that_was_let_in_listens() -> None:
    """The same tries, so that the refusals above are not the browser's own."""
    async with (
        house(allow_origins=("http://evil.example",)) as server,
        page_at("http://evil.example/") as page,
    ):
        heard = await page.evaluate(
            """([base]) => new Promise((resolve) => {
                const socket = new WebSocket(base.replace("http", "ws") + "/v1/stream", "emostream.v1");
                socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", stream: "own"}));
                socket.onmessage = ({data}) => resolve(JSON.parse(data).type);
            })""",
            [server.url],
        )
    assert heard == "ready"
