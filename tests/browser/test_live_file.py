"""`emostream live --file` on its page: in real time, and with the results that it writes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from playwright.async_api import expect
from websockets.asyncio.client import connect

from emostream.streamer.protocol import messages
from tests.support.browser import BROWSER_TEST, DemoPage
from tests.support.page_server import DEMO
from tests.support.programs import SMALL_MODEL, json_lines, running

pytestmark = BROWSER_TEST


async def test_a_recording_is_on_the_page_in_real_time_and_in_the_results(
    app: DemoPage, tmp_path: Path
) -> None:
    results = tmp_path / "results.jsonl"
    arguments = ("live", "--file", str(DEMO / "recording.ogg"), "--port", "0", *SMALL_MODEL)
    with running(*arguments, "--audio-buffer", "60", "-o", str(results)) as program:
        url = (await asyncio.to_thread(program.wait_for, r"The page: (http://\S+)"))[1]
        async with connect(url.replace("http", "ws") + "/v1/stream") as socket:
            await socket.send(json.dumps({"type": "subscribe", "stream": "file"}))
            await app.page.goto(url)
            await app.expect_state("live")
            await expect(app.page.locator("#stream-title")).to_have_text("recording.ogg")
            await expect(app.card(2)).to_have_attribute("data-final", "true", timeout=60_000)
            label = await app.card(1).get_attribute("data-label")
            seen: list[messages.Emotion] = []
            while len(seen) < 2:
                event = messages.decode_server_message(await socket.recv())
                seen += [event] if isinstance(event, messages.Emotion) and event.final else []
            assert app.errors == []
        assert program.interrupt() == 0
    written = [event for event in json_lines(results.read_text()) if event.get("final")]
    assert [event["label"] for event in written[:2]] == [event.label for event in seen]
    assert written[0]["label"] == label
