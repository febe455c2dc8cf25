"""The page works at all: the short tier's one test in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import FilePayload, expect

from tests.support.browser import BROWSER_TEST, DemoPage
from tests.support.fakes import FakeTranscriber
from tests.support.serving import SPEECH, serving
from tests.support.wav_file import wav_bytes

pytestmark = [pytest.mark.short, *BROWSER_TEST]


async def test_the_page_shows_the_emotion_and_the_words_of_an_utterance(app: DemoPage) -> None:
    """The real server, with models whose answers are known: a recording is sent and its results are shown."""
    async with serving(transcriber=FakeTranscriber()) as server:
        await app.open(server, "waiting")
        recording: FilePayload = {"name": "talk.wav", "mimeType": "audio/wav", "buffer": wav_bytes(SPEECH)}
        await app.page.get_by_role("radio", name="Recording").check()
        await app.page.locator("#recording-file").set_input_files(files=[recording])
        await app.expect_state("ended")
        await expect(app.cards).to_have_count(2)
        await expect(app.card(1)).to_have_attribute("data-final", "true")
        await expect(app.card(1).locator("h3")).to_have_text(re.compile("^(Angry|Happy|Sad|Neutral)$"))
        await expect(app.card(1).locator(".confidence")).to_have_text("70 %")
        await expect(app.card(1).locator(".words")).to_contain_text("milliseconds")
        assert app.errors == []
