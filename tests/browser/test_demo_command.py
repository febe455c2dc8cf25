"""`emostream demo` as a new user meets it: the program, and its page in a real browser."""

from __future__ import annotations

import asyncio

from playwright.async_api import expect

from tests.support.browser import BROWSER_TEST, DemoPage
from tests.support.programs import running

pytestmark = BROWSER_TEST


async def test_finals_arrive_on_the_page_of_the_demo(app: DemoPage) -> None:
    with running("demo", "--port", "0") as demo:
        starting = asyncio.to_thread(demo.wait_for, r"The page: (http://\S+)")
        url = (await starting)[1]
        await app.page.goto(url)
        await app.expect_state("live")
        body = app.page.locator("body")
        await expect(body).to_contain_text("The voice is synthetic.")
        await expect(body).to_contain_text("+bert bundled")
        # Three finals with words, one after the other, in real time.
        for utterance in (1, 2, 3):
            card = app.card(utterance)
            await expect(card).to_have_attribute("data-final", "true", timeout=60_000)
            label = await card.get_attribute("data-label")
            assert label in ("angry", "happy", "sad", "neutral")
            await expect(card).to_contain_text("%")
        assert app.errors == []
        assert all(address.split("/")[2] == url.split("/")[2] for address in app.requests)
        assert demo.interrupt() == 0
