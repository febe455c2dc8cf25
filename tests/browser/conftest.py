"""One Chromium for all tests of this folder, and a page of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.support.browser import Browsers, DemoPage, Pages
from tests.support.page_server import PageServer
from tests.support.serving import SPEECH
from tests.support.wav_file import wav_bytes


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SPEECH at 48 kHz."""
    file = tmp_path_factory.mktemp("microphone") / "speech.wav"
    file.write_bytes(wav_bytes(np.repeat(SPEECH, 3), 48_000))
    return file


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browsers(microphone_file: Path) -> AsyncIterator[Browsers]:
    """Their microphone plays the file in a loop."""
    async with async_playwright() as playwright:
        browsers = Browsers(playwright, f"--use-file-for-fake-audio-capture={microphone_file}")
        try:
            yield browsers
        finally:
            await browsers.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pages(browsers: Browsers) -> AsyncIterator[Pages]:
    pages = Pages(browsers)
    yield pages
    await pages.close()


@pytest_asyncio.fixture(loop_scope="session")
async def app(pages: Pages) -> DemoPage:
    """A page that is not opened yet."""
    return DemoPage(await pages.open())


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[PageServer]:
    """The scripted server."""
    async with PageServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def blank(pages: Pages, server: PageServer) -> Page:
    """A document of the server's origin, under its content policy, in which no script runs."""
    page = await pages.open()
    await page.goto(server.url + "style.css")
    return page
