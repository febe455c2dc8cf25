"""Hours of a session: the page stays small, and what a screen reader or a keyboard needs is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from emostream.streamer.server.published_stream import PublishedStream
from tests.browser.test_appearance import publish_everything
from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.page_server import LABELS, PageServer, emotion, speech_started
from tests.support.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium("--js-flags=--expose-gc") as browser:
        yield browser


async def nodes(page: Page) -> int:
    found: int = await page.evaluate("document.querySelectorAll('*').length")
    return found


async def test_two_hours_of_talk_leave_the_page_as_it_was(browser: Browser) -> None:
    """2,400 utterances: as many elements as behind 250, and little more memory."""
    async with PageServer() as server:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server)

        async def said(first: int, last: int) -> tuple[int, float]:
            for number in range(first, last + 1):
                server.publish(speech_started(number))
                server.publish(
                    emotion(
                        number, LABELS[number % 4], start_ms=3_000 * number, end_ms=3_000 * number + 2_500
                    )
                )
            await expect(watched.card(last)).to_have_attribute("data-final", "true")
            used = await page.evaluate("(gc(), performance.memory.usedJSHeapSize)")
            return await nodes(page), used / 2**20

        before, small = await said(1, 250)
        after, large = await said(251, 2_400)
        assert after == before
        assert large - small < 30
        await expect(page.locator("#overview-facts dd").first).to_have_text("2400")
        # And all of it can still be looked at.
        slider = page.get_by_role("slider")
        await slider.focus()
        await page.keyboard.press("Home")
        await expect(slider).to_have_attribute("aria-valuenow", "1")
        await expect(slider).to_have_attribute("aria-valuemax", "2400")
        assert watched.complaints == []
        await page.close()


async def test_a_page_that_nobody_looks_at_draws_nothing(browser: Browser) -> None:
    async with PageServer() as server:
        page = await browser.new_page()
        await page.add_init_script(
            """window.drawn = 0;
            const clear = CanvasRenderingContext2D.prototype.clearRect;
            CanvasRenderingContext2D.prototype.clearRect = function (...box) {
                drawn++;
                clear.apply(this, box);
            };
            window.seen = "visible";
            Object.defineProperty(document, "visibilityState", { get: () => seen });"""
        )
        watched = Watched(page)
        await watched.open(server)
        server.publish(emotion(1))
        await expect(watched.card(1)).to_be_visible()
        drawn = """async () => {
            const frame = () => new Promise((done) => requestAnimationFrame(done));
            const frames = async (n) => { while (n--) await frame(); };
            await frames(3);
            const before = drawn;
            await frames(30);
            return drawn - before;
        }"""
        assert await page.evaluate(drawn) > 5
        for _ in range(5):
            await page.get_by_role("button", name="Show more time").click()
        assert await page.evaluate(drawn) < 15  # an hour: nothing moves as fast as frames come
        for _ in range(5):
            await page.get_by_role("button", name="Show less time").click()
        await page.evaluate("(seen = 'hidden', document.dispatchEvent(new Event('visibilitychange')))")
        assert await page.evaluate(drawn) == 0
        await page.evaluate("(seen = 'visible', document.dispatchEvent(new Event('visibilitychange')))")
        assert await page.evaluate(drawn) > 5
        await page.close()


async def found_by_axe(page: Page) -> list[str]:
    results = (await Axe().run(page)).response
    assert len(results["passes"]) > 20  # it did look
    return [
        json.dumps([one["id"], [node["html"] for node in one["nodes"]]])
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_axe_finds_nothing_serious(
    browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    page = await browser.new_page(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    async with PageServer() as server:
        publish_everything(server)
        watched = Watched(page)
        await watched.open(server)
        await watched.card(4).get_by_role("button", name="Show").click()
        await watched.card(4).locator("summary").click()
        await expect(page.locator("#chosen")).to_be_visible()
        assert await found_by_axe(page) == []
        for source in ("Microphone", "Recording"):
            await page.get_by_role("radio", name=source).check()
            assert await found_by_axe(page) == []
    await page.close()


async def test_axe_finds_nothing_serious_where_there_is_nothing_yet(browser: Browser) -> None:
    page = await browser.new_page()
    async with serving() as server:
        watched = Watched(page)
        await watched.open(server, "waiting")
        assert await found_by_axe(page) == []
    await page.close()


async def test_the_whole_page_can_be_reached_by_keys_alone(browser: Browser) -> None:
    """From the address bar through every control: the focus is always seen, and never caught."""
    async with serving(streams=[PublishedStream("tape", "A tape")]) as server:
        page = await browser.new_page()
        watched = Watched(page)
        await watched.open(server)
        reached = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            one = await page.evaluate(
                """() => {
                    const one = document.activeElement;
                    const outlined = one.closest("label") ?? one;
                    return [one.id || one.className || one.value, getComputedStyle(outlined).outlineStyle];
                }"""
            )
            reached.append(one)
            if one[0] == "timeline":
                break
        names = [name for name, _ in reached]
        assert names[:2] == ["skip", "server"]
        assert names[-1] == "timeline"
        assert {outline for _, outline in reached[1:]} == {"solid"}
        await page.get_by_role("radio", name="Server").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("radio", name="Microphone")).to_be_checked()
        await expect(page.get_by_role("button", name="Start listening")).to_be_visible()
        await page.close()
