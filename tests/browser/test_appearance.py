"""The page can be read: on every width, in both colour schemes, without colours, without motion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.page_server import LABELS, PageServer, emotion, speech_started

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

# Every element that holds text itself, with the WCAG 2 contrast of its text to what lies behind it. The
# canvas turns whatever notation the browser computes into red, green and blue.
TEXT_CONTRASTS = """() => {
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
    const behind = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return rgba(colour)[3] === 255 ? colour : behind(node.parentElement);
    };
    const ownText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const hue = (n, property) => ratio(getComputedStyle(n)[property], behind(n.closest("article")));
    const texts = [...document.querySelectorAll("body *")].filter((n) => ownText(n) && n.checkVisibility());
    const bars = [...document.querySelectorAll(".track i")];
    const figures = [...document.querySelectorAll("main .icon-body")];
    return {
        text: texts.map((n) => [n.textContent.trim(), ratio(getComputedStyle(n).color, behind(n))]),
        graphics: [
            ...bars.map((n) => ["bar", hue(n, "backgroundColor")]),
            ...figures.map((n) => ["icon", hue(n, "fill")]),
        ],
    };
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


def publish_everything(server: PageServer) -> None:
    """One of each thing that the page can show."""
    for utterance, label in enumerate(LABELS, 1):
        server.publish(emotion(utterance, label, text=f"this is {label}", uncertain=["low_confidence"]))
    server.publish({"type": "dropped", "ms": 1240, "why": "too slow"})
    server.publish({"type": "error", "code": "model_error", "message": "got NaN", "fatal": False})
    server.publish(emotion(5, text="", text_only=None))
    server.publish(emotion(6, text="so far", final=False, reason="speaking"))
    server.publish(speech_started(7))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_and_shapes_stand_out(browser: Browser, scheme: Literal["light", "dark"]) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for what is drawn."""
    page = await browser.new_page(color_scheme=scheme, reduced_motion="reduce")
    async with PageServer() as server:
        publish_everything(server)
        watched = Watched(page)
        await watched.open(server)
        await watched.card(4).locator("summary").click()
        await expect(watched.card(7)).to_be_visible()
        found = await page.evaluate(TEXT_CONTRASTS)
    await page.close()
    assert len(found["text"]) > 50
    assert [entry for entry in found["text"] if entry[1] < 4.5] == []
    assert len(found["graphics"]) > 20
    assert [entry for entry in found["graphics"] if entry[1] < 3] == []


async def test_every_emotion_has_a_shape_and_a_word_of_its_own(browser: Browser) -> None:
    page = await browser.new_page()
    async with PageServer() as server:
        publish_everything(server)
        watched = Watched(page)
        await watched.open(server)
        await expect(watched.card(7)).to_be_visible()
        shapes, words = set(), set()
        for utterance in range(1, 5):
            header = watched.card(utterance).locator("header")
            shapes.add(await header.locator(".icon-body").get_attribute("d"))
            words.add(await header.locator("h3").inner_text())
    await page.close()
    assert len(shapes) == 4
    assert words == {"Angry", "Happy", "Sad", "Neutral"}


async def test_nothing_moves_for_who_wants_no_motion(browser: Browser) -> None:
    page = await browser.new_page(reduced_motion="reduce")
    async with PageServer() as server:
        publish_everything(server)
        watched = Watched(page)
        await watched.open(server)
        await expect(watched.card(7)).to_be_visible()
        assert await page.evaluate("document.getAnimations().length") == 0
    await page.close()


@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
async def test_no_width_needs_sideways_scrolling(browser: Browser, width: int) -> None:
    page = await browser.new_page(viewport={"width": width, "height": 800})
    async with PageServer() as server:
        server.publish(emotion(1, text="supercalifragilistic" * 8))
        watched = Watched(page)
        await watched.open(server)
        await watched.card(1).locator("summary").click()
        scroll, seen = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
    await page.close()
    assert scroll <= seen
