"""The overlay in a real browser: what it draws, over nothing, and what it does when a connection breaks."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlsplit

from matplotlib.image import imread
from playwright.async_api import Page, expect

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import BROWSER_TEST, Pages
from tests.support.events import emotion_event
from tests.support.page_server import PageServer, emotion
from tests.support.serving import serving
from tests.support.stripping_proxy import StrippingProxy

pytestmark = BROWSER_TEST


async def opened(pages: Pages, url: str, query: str = "") -> tuple[Page, list[str]]:
    page = await pages.open()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    await page.goto(f"{url}overlay.html{query}")
    return page, problems


async def test_it_draws_the_newest_result_over_nothing(pages: Pages) -> None:
    async with PageServer() as server:
        page, problems = await opened(pages, server.url, "?confidence=on&size=60&hold=0")
        server.publish(emotion(1, "sad", text="we lost"))
        server.publish(emotion(2, "angry", text="<b>stop</b> it", reliable=False))
        await expect(page.locator("#overlay .emotion")).to_have_text("Angry? 91 %")
        await expect(page.locator("#overlay .words")).to_have_text("<b>stop</b> it")
        await expect(page.locator("#overlay .words")).to_have_css("font-size", "60px")
        await expect(page.locator("#problem")).to_be_hidden()
        picture = imread(io.BytesIO(await page.screenshot(omit_background=True)))
        assert picture[0, 0, 3] == 0  # transparent
        assert picture[-200:, :, 3].max() == 1
        await server.restart("s2")
        await expect(page.locator("#overlay .emotion")).to_have_count(0, timeout=60_000)
        server.publish(emotion(1, "happy", text="again"))
        await expect(page.locator("#overlay .words")).to_have_text("again")
        assert problems == []


async def test_a_value_that_cannot_be_used_is_named_on_the_page(pages: Pages) -> None:
    async with PageServer() as server:
        page, _ = await opened(pages, server.url, "?size=big&words=off")
        server.publish(emotion(1, "sad"))
        await expect(page.locator("#problem")).to_have_text(
            'expected size to be a number of pixels from 8 to 300, got "big"; correct the address'
        )
        await expect(page.locator("#overlay .emotion")).to_have_text("Sad")
        await expect(page.locator("#overlay .words")).to_have_count(0)


async def test_the_server_has_it_also_below_a_path_and_it_asks_for_a_token(
    pages: Pages, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("the-right-token-of-anna\n")
    log = EventLog("s")
    log.append(emotion_event(1, "happy"))
    async with serving(streams=[PublishedStream("mic", "A", None, log)], token_file=str(tokens)) as server:
        proxy = StrippingProxy(server.port, "/voice")
        async with proxy.running():
            page = await pages.open()
            await page.goto(f"http://127.0.0.1:{proxy.port}/voice/overlay?hold=0")
            await page.get_by_label("Token", exact=True).fill("the-right-token-of-anna")
            await page.keyboard.press("Enter")
            await expect(page.locator("#overlay .emotion")).to_have_text("Happy")
            await expect(page.get_by_label("Token", exact=True)).to_be_hidden()
            assert urlsplit(page.url).query == "hold=0"
