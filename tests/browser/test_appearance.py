"""The page is readable: at every width, in both colour schemes, without colours, without motion."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import expect

from tests.support.browser import BROWSER_TEST, TEXT_CONTRASTS, DemoPage, Pages
from tests.support.page_server import PageServer, emotion, publish_everything

pytestmark = BROWSER_TEST


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_and_shapes_have_enough_contrast(
    pages: Pages, server: PageServer, scheme: Literal["light", "dark"]
) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for graphics."""
    page = await pages.open(color_scheme=scheme, reduced_motion="reduce")
    app = DemoPage(page)
    publish_everything(server)
    await app.open(server)
    await app.card(4).locator("summary").click()
    await expect(app.card(7)).to_be_visible()
    found = await page.evaluate(TEXT_CONTRASTS)
    assert len(found["text"]) > 50
    assert [entry for entry in found["text"] if entry[1] < 4.5] == []
    assert len(found["graphics"]) > 20
    assert [entry for entry in found["graphics"] if entry[1] < 3] == []


async def test_every_emotion_has_a_shape_and_a_word_of_its_own(app: DemoPage, server: PageServer) -> None:
    publish_everything(server)
    await app.open(server)
    await expect(app.card(7)).to_be_visible()
    shapes, words = set(), set()
    for utterance in range(1, 5):
        header = app.card(utterance).locator("header")
        shapes.add(await header.locator(".icon-body").get_attribute("d"))
        words.add(await header.locator("h3").inner_text())
    assert len(shapes) == 4
    assert words == {"Angry", "Happy", "Sad", "Neutral"}


async def test_nothing_moves_with_reduced_motion(pages: Pages, server: PageServer) -> None:
    page = await pages.open(reduced_motion="reduce")
    app = DemoPage(page)
    publish_everything(server)
    await app.open(server)
    await expect(app.card(7)).to_be_visible()
    assert await page.evaluate("document.getAnimations().length") == 0


WIDTHS = (1920, 1280, 768, 390, 320)
BEYOND_THE_EDGE = """() => [...document.querySelectorAll("body *")]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth)
    .map((node) => node.outerHTML.slice(0, 60) + Math.round(node.getBoundingClientRect().right))"""


async def test_no_width_needs_horizontal_scrolling(pages: Pages, server: PageServer) -> None:
    """One window, made narrower and wide again: nothing remembers how wide it once was."""
    page = await pages.open(viewport={"width": WIDTHS[0], "height": 800})
    app = DemoPage(page)
    for number in range(1, 12):
        server.publish(emotion(number, text="supercalifragilistic" * 8))
    await app.open(server)
    await app.card(11).locator("summary").click()
    for width in (*WIDTHS, *WIDTHS[::-1]):
        await page.set_viewport_size({"width": width, "height": 800})
        await app.card(1).scroll_into_view_if_needed()  # those off the screen are not laid out
        await app.card(11).scroll_into_view_if_needed()
        beyond = await page.evaluate(BEYOND_THE_EDGE)
        assert beyond == [], width


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
async def test_the_current_emotion_and_its_words_are_on_the_first_screen(
    pages: Pages, server: PageServer, width: int, height: int
) -> None:
    page = await pages.open(viewport={"width": width, "height": height})
    app = DemoPage(page)
    for number in range(1, 4):
        server.publish(emotion(number, label="sad", text="I miss my mother so much, I feel so alone."))
    server.publish(emotion(4, label="angry", reliable=False, text="Something nobody believes."))
    await app.open(server)
    headline = page.get_by_role("region", name="The current emotion")
    await expect(headline.get_by_role("heading")).to_have_text("Sad")
    for part in (headline.get_by_role("heading"), headline.locator(".words"), headline.locator(".bars")):
        box = await part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height
