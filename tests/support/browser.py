"""Debian's Chromium, headless and without any traffic of its own, and a page that records what goes wrong."""

from __future__ import annotations

import shutil
from typing import Any, Final

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, Playwright, expect

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
    "--mute-audio",
    "--force-color-profile=srgb",
    "--js-flags=--expose-gc",
    "--use-fake-device-for-media-stream",
    # A page over plain http from another host: its context is not secure.
    "--host-resolver-rules=MAP studio.example 127.0.0.1",
)
AUTOPLAY: Final = "--autoplay-policy=no-user-gesture-required"

# A bound on hanging, not a measure of speed: other tests may share the machine's cores.
expect.set_options(timeout=30_000)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="expected chromium on the path, found none (apt install chromium)"
)
BROWSER_TEST: Final = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    needs_chromium,
]
"""The `pytestmark` of a module with tests in the browser: they share one event loop and one Chromium."""

# The longest delay of the backoff: a state between two connections lasts long enough to be observed.
FULL_BACKOFF: Final = "Math.random = () => 0.999"


class Browsers:
    """One Chromium for each set of additional flags, started when it is first needed."""

    def __init__(self, playwright: Playwright, *common: str) -> None:
        self._playwright = playwright
        self._common = common
        self._running: dict[tuple[str, ...], Browser] = {}

    async def get(self, *flags: str) -> Browser:
        if flags not in self._running:
            self._running[flags] = await self._playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, *self._common, *flags]
            )
        return self._running[flags]

    async def close(self) -> None:
        for browser in self._running.values():
            await browser.close()


class Pages:
    """Opens pages, each in a context of its own, and closes them after the test."""

    def __init__(self, browsers: Browsers) -> None:
        self._browsers = browsers
        self._contexts: list[BrowserContext] = []

    async def open(self, *flags: str, **context: Any) -> Page:
        """flags: of the browser. context: options of Playwright's `new_context`."""
        browser = await self._browsers.get(*flags)
        settings: dict[str, Any] = {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}
        opened = await browser.new_context(**settings | context)
        self._contexts.append(opened)
        await opened.add_init_script(FULL_BACKOFF)
        return await opened.new_page()

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()


class DemoPage:
    """A page that records its errors and its requests."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
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


# Every element that contains text itself, with the WCAG 2 contrast of its text to its background. The canvas
# converts whatever notation the browser computes into red, green and blue.
TEXT_CONTRASTS: Final = """() => {
    const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    const rgba = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => {
        const [r, g, b] = rgba(colour).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const background = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return rgba(colour)[3] === 255 ? colour : background(node.parentElement);
    };
    const ownText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const around = (n) => background(n.closest("article, .headline"));
    const hue = (n, property) => ratio(getComputedStyle(n)[property], around(n));
    const texts = [...document.querySelectorAll("body *")].filter((n) => ownText(n) && n.checkVisibility());
    const bars = [...document.querySelectorAll(".track i")];
    const figures = [...document.querySelectorAll("main .icon-body")];
    return {
        text: texts.map((n) => [n.textContent.trim(), ratio(getComputedStyle(n).color, background(n))]),
        graphics: [
            ...bars.map((n) => ["bar", hue(n, "backgroundColor")]),
            ...figures.map((n) => ["icon", hue(n, "fill")]),
        ],
    };
}"""
