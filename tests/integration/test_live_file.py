"""`emostream replay --serve`: a recording as if it were live, for the page and for whoever watches."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect

from emostream.streamer.protocol import messages
from tests.integration.test_program import RECORDING
from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.programs import json_lines, run, running


@needs_chromium
@pytest.mark.browser
async def test_it_is_on_the_page_at_its_own_pace_and_in_the_results(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    arguments = ("replay", str(RECORDING), "--pace", "realtime", "--serve", "--port", "0", "--asr", "none")
    with running(*arguments, "--audio-buffer", "60", "-o", str(results)) as replay:
        url = (await asyncio.to_thread(replay.wait_for, r"The page: (http://\S+)"))[1]
        async with chromium() as browser, connect(url.replace("http", "ws") + "/v1/stream") as socket:
            await socket.send(json.dumps({"type": "subscribe", "stream": "replay"}))
            watched = Watched(await browser.new_page())
            await watched.page.goto(url)
            await watched.expect_state("live")
            await expect(watched.page.locator("#stream-title")).to_have_text("recording.ogg")
            await expect(watched.card(2)).to_have_attribute("data-final", "true", timeout=60_000)
            label = await watched.card(1).get_attribute("data-label")
            seen: list[messages.Emotion] = []
            while len(seen) < 2:
                event = messages.decode_server_message(await socket.recv())
                seen += [event] if isinstance(event, messages.Emotion) and event.final else []
            assert watched.complaints == []
        assert replay.interrupt() == 0
    written = [one for one in json_lines(results.read_text()) if one.get("final")]
    assert [one["label"] for one in written[:2]] == [one.label for one in seen]
    assert written[0]["label"] == label


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--serve"], "expected --pace realtime with --serve, got full; add it"),
        (["--port", "1234"], "expected --serve with --port, got none; add it, or leave --port out"),
        (["--audio-buffer", "9"], "expected --serve with --audio-buffer, got none"),
        (
            ["--serve", "--pace", "realtime", "--output-dir", "x"],
            "expected --output with --serve, got --output-dir or --plot",
        ),
        (
            [str(RECORDING), "--serve", "--pace", "realtime"],
            "expected one recording with --serve, got 2; name one",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_told_in_a_line(flags: list[str], told: str) -> None:
    done = run("replay", str(RECORDING), *flags)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"emostream: {told}")
