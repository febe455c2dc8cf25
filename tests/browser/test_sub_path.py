"""The page below a path of a reverse proxy, unknown to the server: all its addresses are relative."""

from __future__ import annotations

from playwright.async_api import FilePayload, expect

from tests.support.browser import BROWSER_TEST, DemoPage
from tests.support.fakes import FakeTranscriber
from tests.support.serving import SPEECH, serving
from tests.support.stripping_proxy import StrippingProxy
from tests.support.wav_file import wav_bytes

pytestmark = BROWSER_TEST


async def test_the_page_works_below_a_path(app: DemoPage) -> None:
    recording: FilePayload = {"name": "talk.wav", "mimeType": "audio/wav", "buffer": wav_bytes(SPEECH)}
    async with serving(transcriber=FakeTranscriber()) as server:
        proxy = StrippingProxy(server.port, "/tools/voice")
        async with proxy.running():
            below = f"127.0.0.1:{proxy.port}/tools/voice/"
            await app.page.goto(f"http://{below}")
            await app.expect_state("waiting")
            await app.page.get_by_role("radio", name="Recording").check()
            await app.page.locator("#recording-file").set_input_files(files=[recording])
            await app.expect_state("ended")
            await expect(app.cards).to_have_count(2)
            await expect(app.card(2)).to_have_attribute("data-final", "true")
            await app.page.reload()  # what it remembers of the server is below the path as well
            await app.expect_state("waiting")
        assert proxy.outside == []
    addresses = [url.partition("://")[2] for url in app.requests if not url.startswith(("blob:", "data:"))]
    assert all(address.startswith(below) for address in addresses), addresses
    assert app.errors == []
