"""`emostream demo` as a newcomer meets it: the program, and its page in a real browser."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.programs import running

pytestmark = [needs_chromium, pytest.mark.browser]


async def test_finals_arrive_on_the_page_of_the_demo() -> None:
    with running("demo", "--port", "0") as demo:
        waiting = asyncio.to_thread(demo.wait_for, r"The page: (http://\S+)")
        url = (await waiting)[1]
        async with chromium() as browser:
            watched = Watched(await browser.new_page())
            await watched.page.goto(url)
            await watched.expect_state("live")
            body = watched.page.locator("body")
            await expect(body).to_contain_text("The voice is synthetic.")
            await expect(body).to_contain_text("wav2vec2+bert bundled")
            # Three finals with words, one after the other, at the recording's own pace.
            for utterance in (1, 2, 3):
                card = watched.card(utterance)
                await expect(card).to_have_attribute("data-final", "true", timeout=60_000)
                label = await card.get_attribute("data-label")
                assert label in ("angry", "happy", "sad", "neutral")
                await expect(card).to_contain_text("%")
            assert watched.complaints == []
            assert all(address.split("/")[2] == url.split("/")[2] for address in watched.requests)
        assert demo.interrupt() == 0
