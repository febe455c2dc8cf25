"""`client.js` in the browser: with the real server, a microphone, recordings, and in its example page."""

from __future__ import annotations

import asyncio
import base64
import functools
import http.server
import json
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest
from playwright.async_api import Page, expect

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.protocol import messages
from tests.support.browser import BROWSER_TEST, DemoPage, Pages
from tests.support.browser_example import EXAMPLE, client_files
from tests.support.fakes import FakeTranscriber
from tests.support.page_server import DEMO
from tests.support.serving import SPEECH, serving, socket_url, stream

TIMEOUT_S: Final = 120  # a bound on hanging

pytestmark = BROWSER_TEST


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example, served as its main.js explains: a folder, any static server. Its origin."""
    folder = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(EXAMPLE, folder)
    for name in client_files():
        shutil.copy(DEMO / name, folder)
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


async def open_site(pages: Pages, address: str, *, allowed: bool = False) -> Page:
    """allowed: whether it may use the microphone."""
    page = await pages.open(permissions=["microphone"] if allowed else [])
    await page.goto(address)
    return page


# Against the real server --------------------------------------------------------------------------


def without_timing(event: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the wall clock."""
    return {name: value for name, value in event.items() if name != "timing"}


def finals(events: list[messages.ServerEvent]) -> list[dict[str, Any]]:
    return [
        without_timing(json.loads(messages.encode(event)))
        for event in events
        if isinstance(event, messages.Emotion) and event.final
    ]


class CuttingProxy:
    """Between the browser and a server: each connection breaks without a close frame, after so many bytes."""

    def __init__(self, port: int, limits: list[int]) -> None:
        self._port = port
        self._limits = limits
        self.broken = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as listener:
            yield f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/stream"

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        left = self._limits.pop(0) if self._limits else None

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal left
            while left != 0 and (data := await source.read(4_096)):
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                target.write(data)
                await target.drain()

        directions = [
            asyncio.create_task(forward(reader, upstream_writer)),
            asyncio.create_task(forward(upstream_reader, writer)),
        ]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        self.broken += left == 0
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        for end in (writer, upstream_writer):
            end.transport.abort()


@pytest.mark.parametrize("seed", [1, 2])
async def test_cut_again_and_again_the_finals_are_those_of_the_uncut_stream(
    pages: Pages, site: str, seed: int
) -> None:
    pcm = base64.b64encode(encode_pcm(SPEECH, "pcm_f32le")).decode()
    limits = np.random.default_rng(seed).integers(300, 30_000, 12).tolist()
    async with (
        serving(transcriber=FakeTranscriber(), allow_origins=(site,)) as server,
        asyncio.timeout(TIMEOUT_S),
    ):
        uncut = finals(await stream(server, SPEECH))
        proxy = CuttingProxy(server.port, limits)
        page = await open_site(pages, site)
        async with proxy.running() as url:
            found = await page.evaluate(
                """async ({ url, pcm }) => {
                    const { EmostreamClient } = await import("/client.js");
                    const bytes = Uint8Array.from(atob(pcm), (letter) => letter.charCodeAt(0));
                    const events = [];
                    const client = new EmostreamClient({
                        url, encoding: "pcm_f32le", sampleRate: 16000, whenFull: "wait",
                        onEvent: (event) => events.push(event),
                        platform: {
                            WebSocket,
                            random: () => 0,
                            now: () => performance.now(),
                            setTimeout: (run, ms) => setTimeout(run, ms),
                            clearTimeout: (timer) => clearTimeout(timer),
                        },
                    });
                    for (let first = 0; first < bytes.length; first += 9999) {
                        await client.send(bytes.subarray(first, first + 9999));
                    }
                    client.stop();
                    const { phase, code, reason, undeliveredMs } = await client.finished;
                    return { events, last: { phase, code, reason, undeliveredMs } };
                }""",
                {"url": url, "pcm": pcm},
            )
    seqs = [event["seq"] for event in found["events"]]
    assert seqs == list(range(1, len(seqs) + 1))
    received = [
        without_timing(event) for event in found["events"] if event["type"] == "emotion" and event["final"]
    ]
    assert len(received) == 2
    assert [event | {"seq": 0} for event in received] == [event | {"seq": 0} for event in uncut]
    assert found["last"] == {
        "phase": "ended",
        "code": 1000,
        "reason": "end_of_stream",
        "undeliveredMs": 0,
    }
    assert proxy.broken >= 6


async def test_the_example_shows_a_row_for_each_utterance(pages: Pages, site: str) -> None:
    app = DemoPage(await open_site(pages, site, allowed=True))
    async with serving(transcriber=FakeTranscriber(), allow_origins=(site,)) as server:
        await app.page.get_by_label("Server").fill(socket_url(server))
        await app.page.get_by_role("button", name="Start the microphone").click()
        row = app.page.get_by_role("listitem").first
        await expect(row).to_have_text(re.compile(r"^(angry|happy|sad|neutral)70 %\d+ milliseconds$"))
        await app.page.get_by_role("button", name="Stop").click()
        await expect(app.page.get_by_role("status")).to_contain_text("Ended: ")
        await expect(app.page.get_by_role("button", name="Start the microphone")).to_be_enabled()
        assert app.errors == []


async def test_the_example_shows_a_refusal_and_closes_the_microphone(pages: Pages, site: str) -> None:
    page = await open_site(pages, site, allowed=True)
    async with serving() as server:
        await page.get_by_label("Server").fill(socket_url(server))
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(page.get_by_role("status")).to_contain_text("--allow-origin to allow it")
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()


# The microphone -----------------------------------------------------------------------------------

OPEN_MICROPHONE: Final = """async (settings) => {
    const { microphone } = await import("/client.js");
    try {
        const audio = await microphone(settings ?? {});
        audio.stop();
        return "a microphone";
    } catch (error) {
        return [error.name, error.code, error.message];
    }
}"""


async def test_a_refused_microphone_is_an_error_with_advice(pages: Pages, site: str) -> None:
    page = await open_site(pages, site)
    message = "expected permission to record, got none; allow this page the microphone in the browser"
    assert await page.evaluate(OPEN_MICROPHONE) == ["MicrophoneError", "refused", message]


async def test_a_missing_microphone_is_an_error_with_advice(pages: Pages, site: str) -> None:
    page = await open_site(pages, site, allowed=True)
    message = "expected a microphone, found none; connect one, or choose another"
    found = await page.evaluate(OPEN_MICROPHONE, {"deviceId": "gone"})
    assert found == ["MicrophoneError", "missing", message]


async def test_a_page_in_an_insecure_context_gets_no_microphone(pages: Pages, site: str) -> None:
    page = await open_site(pages, site.replace("localhost", "studio.example"))
    name, code, message = await page.evaluate(OPEN_MICROPHONE)
    assert (name, code) == ("MicrophoneError", "insecure")
    assert message.startswith("expected a page over https or from localhost")


async def test_the_microphone_gives_mono_blocks_until_it_is_stopped_or_aborted(
    pages: Pages, site: str
) -> None:
    page = await open_site(pages, site, allowed=True)
    found = await page.evaluate(
        """async () => {
            const { microphone } = await import("/client.js");
            const blocks = [];
            const audio = await microphone();
            for await (const block of audio) {
                blocks.push([block.constructor.name, block.length * 1000 / audio.sampleRate]);
                if (blocks.length === 3) audio.stop();
                if (blocks.length === 20) break;
            }
            const abort = new AbortController();
            const other = await microphone({ signal: abort.signal });
            let others = 0;
            for await (const _ of other) if (++others === 2) abort.abort();
            const third = await microphone();
            for await (const _ of third) break;
            const next = await third[Symbol.asyncIterator]().next();
            const late = await microphone({ signal: abort.signal }).catch((error) => error.name);
            return [blocks.slice(0, 3), blocks.length < 20, others < 20, next.done, late];
        }"""
    )
    assert found == [[["Float32Array", 20]] * 3, True, True, True, "AbortError"]


# Recordings ---------------------------------------------------------------------------------------


async def test_a_recording_becomes_mono_blocks(blank: Page) -> None:
    """The bundled one, decoded and resampled by the browser."""
    full_blocks, length_s = await blank.evaluate(
        """async () => {
            const { fileBlocks } = await import("/client.js");
            const file = await (await fetch("/recording.ogg")).blob();
            const lengths = [];
            for await (const block of fileBlocks(file, { pace: Infinity })) lengths.push(block.length);
            const total = lengths.reduce((sum, length) => sum + length, 0);
            return [lengths.slice(0, -1).every((length) => length === 1600), total / 16000];
        }"""
    )
    assert full_blocks is True
    assert length_s == pytest.approx(len(decode_file(DEMO / "recording.ogg")) / 16_000, abs=0.1)


async def test_an_undecodable_file_is_an_error_with_its_name(blank: Page) -> None:
    message = await blank.evaluate(
        """async () => {
            const { fileBlocks } = await import("/client.js");
            const file = new File(["la la la"], "song.txt");
            return await fileBlocks(file).next().catch((error) => error.message);
        }"""
    )
    assert message == "expected a recording that this browser can decode, got song.txt"
