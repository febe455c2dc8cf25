"""`emostream live --file`: a recording as if it were live, for the page and for subscribers."""

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
from tests.support.programs import json_lines, run_here, running


@needs_chromium
@pytest.mark.browser
async def test_it_is_on_the_page_at_its_own_pace_and_in_the_results(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    arguments = ("live", "--file", str(RECORDING), "--port", "0", "--asr", "none")
    with running(*arguments, "--audio-buffer", "60", "-o", str(results)) as program:
        url = (await asyncio.to_thread(program.wait_for, r"The page: (http://\S+)"))[1]
        async with chromium() as browser, connect(url.replace("http", "ws") + "/v1/stream") as socket:
            await socket.send(json.dumps({"type": "subscribe", "stream": "file"}))
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
        assert program.interrupt() == 0
    written = [one for one in json_lines(results.read_text()) if one.get("final")]
    assert [one["label"] for one in written[:2]] == [one.label for one in seen]
    assert written[0]["label"] == label


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--microphone", "1"], "expected --file or --microphone, got both; leave one out"),
        (["--format", "csv"], "expected --output FILE with --format, got none; add it"),
        (["--file", "{folder}"], "expected one recording with --file, got 2; name one"),
    ],
)
def test_bad_combinations_are_refused_in_a_line(options: list[str], message: str, tmp_path: Path) -> None:
    for name in ("a.ogg", "b.ogg"):
        (tmp_path / name).write_bytes(RECORDING.read_bytes())
    given = [option.format(folder=tmp_path) for option in options]
    done = run_here("live", "--file", str(RECORDING), *given)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"emostream: {message}")


def test_a_recording_that_is_not_there_is_named() -> None:
    done = run_here("live", "--file", "nowhere.wav")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert "no such file" in first
    assert "expected one recording with --file, got 0" in second


@pytest.mark.parametrize("option", ["--serve", "--port=1", "--audio-buffer=9", "--ray"])
def test_replay_has_no_options_of_a_server_or_a_cluster(option: str) -> None:
    done = run_here("replay", str(RECORDING), option)
    assert done.returncode == 2
    assert f"No such option: {option.partition('=')[0]}" in done.stderr
