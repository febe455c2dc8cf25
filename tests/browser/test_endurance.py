"""Hours of a session: the page stays small. And it is accessible by keyboard and screen reader."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import BROWSER_TEST, DemoPage, Pages
from tests.support.page_server import LABELS, PageServer, emotion, publish_everything, speech_started
from tests.support.serving import serving

pytestmark = BROWSER_TEST


async def node_count(page: Page) -> int:
    found: int = await page.evaluate("document.querySelectorAll('*').length")
    return found


async def test_two_hours_of_speech_leave_the_page_as_it_was(app: DemoPage, server: PageServer) -> None:
    """2,400 utterances: as many elements as after 250, and little more memory."""
    page = app.page
    await app.open(server)

    async def after(first: int, last: int) -> tuple[int, float]:
        for number in range(first, last + 1):
            server.publish(speech_started(number))
            server.publish(
                emotion(number, LABELS[number % 4], start_ms=3_000 * number, end_ms=3_000 * number + 2_500)
            )
        await expect(app.card(last)).to_have_attribute("data-final", "true", timeout=120_000)
        used = await page.evaluate("(gc(), performance.memory.usedJSHeapSize)")
        return await node_count(page), used / 2**20

    nodes_before, mib_before = await after(1, 250)
    nodes_after, mib_after = await after(251, 2_400)
    assert nodes_after == nodes_before
    assert mib_after - mib_before < 30
    await expect(page.locator("#summary-facts dd").first).to_have_text("2400")
    # And all of it can still be selected.
    slider = page.get_by_role("slider")
    await slider.focus()
    await page.keyboard.press("Home")
    await expect(slider).to_have_attribute("aria-valuenow", "1")
    await expect(slider).to_have_attribute("aria-valuemax", "2400")
    assert app.errors == []


async def test_a_hidden_page_draws_nothing(app: DemoPage, server: PageServer) -> None:
    page = app.page
    await page.add_init_script(
        """window.drawn = 0;
        const clear = CanvasRenderingContext2D.prototype.clearRect;
        CanvasRenderingContext2D.prototype.clearRect = function (...box) {
            drawn++;
            clear.apply(this, box);
        };
        window.visibility = "visible";
        Object.defineProperty(document, "visibilityState", { get: () => visibility });"""
    )
    await app.open(server)
    server.publish(emotion(1))
    await expect(app.card(1)).to_be_visible()
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
    await page.evaluate("(visibility = 'hidden', document.dispatchEvent(new Event('visibilitychange')))")
    assert await page.evaluate(drawn) == 0
    await page.evaluate("(visibility = 'visible', document.dispatchEvent(new Event('visibilitychange')))")
    assert await page.evaluate(drawn) > 5


async def violations(page: Page) -> list[str]:
    """The serious ones that axe finds."""
    results = (await Axe().run(page)).response
    assert len(results["passes"]) > 20  # it did check
    return [
        json.dumps([one["id"], [node["html"] for node in one["nodes"]]])
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_axe_finds_nothing_serious(
    pages: Pages, server: PageServer, scheme: Literal["light", "dark"], width: int
) -> None:
    page = await pages.open(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    publish_everything(server)
    app = DemoPage(page)
    await app.open(server)
    await app.card(4).get_by_role("button", name="Show").click()
    await app.card(4).locator("summary").click()
    await expect(page.locator("#selected")).to_be_visible()
    assert await violations(page) == []
    for source in ("Microphone", "Recording"):
        await page.get_by_role("radio", name=source).check()
        assert await violations(page) == []


async def test_axe_finds_nothing_serious_on_an_empty_page(app: DemoPage) -> None:
    async with serving() as server:
        await app.open(server, "waiting")
        assert await violations(app.page) == []


async def test_every_control_can_be_reached_by_keyboard(app: DemoPage) -> None:
    """From the address bar through every control: the focus is always visible, and never trapped."""
    async with serving(streams=[PublishedStream("tape", "A tape")]) as server:
        page = app.page
        await app.open(server)
        reached = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(
                """() => {
                    const focused = document.activeElement;
                    const outlined = focused.closest("label") ?? focused;
                    const name = focused.id || focused.className || focused.value;
                    return [name, getComputedStyle(outlined).outlineStyle];
                }"""
            )
            reached.append(focused)
            if focused[0] == "timeline":
                break
        names = [name for name, _ in reached]
        assert names[:2] == ["skip", "server"]
        assert names[-1] == "timeline"
        assert {outline for _, outline in reached[1:]} == {"solid"}
        await page.get_by_role("radio", name="Server").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("radio", name="Microphone")).to_be_checked()
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_visible()
