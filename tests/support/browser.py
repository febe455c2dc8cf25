"""Debian's Chromium, headless, without any traffic of its own, and a page that is watched."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from emostream.streamer.server.app import Server
from tests.support.page_server import PageServer

CHROMIUM: Final = shutil.which("chromium")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

# A bound on hanging, not a measure of speed: other tests may share the machine's cores.
expect.set_options(timeout=30_000)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="expected chromium on the path, found none (apt install chromium)"
)


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page that remembers what went wrong and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    @property
    def cards(self) -> Locator:
        return self.page.locator("article.utterance")

    def card(self, utterance: int) -> Locator:
        return self.page.locator(f'article.utterance[data-utterance="{utterance}"]')

    async def open(self, server: PageServer | Server, state: str = "live") -> None:
        await self.page.goto(server.url)
        await self.expect_state(state)

    async def expect_state(self, state: str) -> None:
        await expect(self.page.locator("#connection")).to_have_attribute("data-state", state)
