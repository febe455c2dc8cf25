"""What the page keeps from one connection to the next: the token, and how far it has read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, WebSocket, expect

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.published_stream import PublishedStream
from tests.browser.test_appearance import TEXT_CONTRASTS
from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.page_server import PageServer, emotion
from tests.support.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

TOKEN: Final = "open sesame, 0123456789"
KEY: Final = "emostream.token"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


class Overheard(Watched):
    """A page, with what it says over its sockets."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.said: list[list[dict[str, Any]]] = []
        self.heard: list[list[dict[str, Any]]] = []
        self.headers: list[str | None] = []
        page.on("websocket", self._listen)
        page.on(
            "request",
            lambda request: (
                self.headers.append(request.headers.get("authorization"))
                if request.url.endswith("/v1/streams")
                else None
            ),
        )

    def _listen(self, socket: WebSocket) -> None:
        said: list[dict[str, Any]] = []
        heard: list[dict[str, Any]] = []
        self.said.append(said)
        self.heard.append(heard)
        socket.on("framesent", lambda data: said.append(json.loads(data)))
        socket.on("framereceived", lambda data: heard.append(json.loads(data)))

    @property
    def form(self) -> Any:
        return self.page.get_by_role("form", name="This server asks for a token")

    async def give(self, token: str) -> None:
        await self.page.get_by_label("Token", exact=True).fill(token)
        await self.page.keyboard.press("Enter")

    async def stored(self) -> str | None:
        stored: str | None = await self.page.evaluate("key => sessionStorage.getItem(key)", KEY)
        return stored


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Overheard]:
    context = await browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900})
    yield Overheard(await context.new_page())
    await context.close()


def started(utterance: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=utterance, start_ms=utterance * 1_000)


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Server]:
    """A real server that wants TOKEN, with a stream in which somebody speaks."""
    file = folder / "tokens"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    own.event_log.append(started(1))
    async with serving(streams=[own], token_file=str(file)) as server:
        yield server


# The token ----------------------------------------------------------------------------------------


async def test_who_gives_the_token_is_let_in(page: Overheard, tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await page.page.goto(server.url)
        await page.expect_state("refused")
        await expect(page.form).to_be_visible()
        await expect(page.page.get_by_label("Token", exact=True)).to_be_focused()
        await expect(page.page.get_by_role("alert")).to_be_empty()
        await page.give(TOKEN)
        await page.expect_state("live")
        await expect(page.form).to_be_hidden()
        await expect(page.card(1)).to_be_visible()
    assert page.headers == [None, f"Bearer {TOKEN}"]
    assert page.said == [[{"type": "subscribe", "stream": "demo", "token": TOKEN}]]


async def test_a_token_is_in_no_address_and_only_this_tab_keeps_it(page: Overheard, tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await page.page.goto(server.url)
        await page.give(TOKEN)
        await page.expect_state("live")
        assert await page.stored() == TOKEN
        assert await page.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert not any("sesame" in url for url in [*page.requests, page.page.url])
        await page.page.reload()
        await page.expect_state("live")
        await expect(page.form).to_be_hidden()
        other = Overheard(await page.page.context.new_page())
        await other.page.goto(server.url)
        await expect(other.form).to_be_visible()


async def test_a_wrong_token_is_said_and_forgotten_and_another_may_be_given(
    page: Overheard, tmp_path: Path
) -> None:
    async with guarded(tmp_path) as server:
        await page.page.goto(server.url)
        await page.give("swordfish, swordfish")
        error = page.page.get_by_role("alert")
        await expect(error).to_have_text("The server does not know this token.")
        field = page.page.get_by_label("Token", exact=True)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description("The server does not know this token.")
        await expect(field).to_be_focused()
        await expect(field).to_have_value("")
        assert await page.stored() is None
        await page.give(TOKEN)
        await page.expect_state("live")
        await expect(page.form).to_be_hidden()


async def test_what_no_header_can_hold_is_not_sent(page: Overheard, tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await page.page.goto(server.url)
        await page.give("\N{KEY} and \N{LOCK}")
        await expect(page.page.get_by_role("alert")).to_have_text(
            "A token is made of Latin letters, digits and signs."
        )
        assert page.headers == [None]
        await page.give("  ")
        assert page.headers == [None]


async def test_a_socket_that_wants_a_token_asks_for_it_too(page: Overheard) -> None:
    """The list may be open where the stream is not."""
    async with PageServer() as server:
        await page.open(server)
        await expect(page.form).to_be_hidden()
        server.publish({"type": "error", "code": "unauthorized", "message": "no token", "fatal": True})
        await server.close_sockets(4401)
        await page.expect_state("refused")
        await expect(page.form).to_be_visible()
        await page.give(TOKEN)
        await page.expect_state("live")
        await expect(page.form).to_be_hidden()
    assert page.said[1][0]["token"] == TOKEN


async def test_a_kept_token_that_is_no_longer_good_is_forgotten(page: Overheard) -> None:
    await page.page.add_init_script(f"sessionStorage.setItem({KEY!r}, 'the one of yesterday')")
    async with PageServer() as server:
        await page.open(server)
        await server.close_sockets(4401)
        await expect(page.page.get_by_role("alert")).to_have_text("The server does not know this token.")
        assert await page.stored() is None
    assert page.said[0][0]["token"] == "the one of yesterday"


async def test_a_browser_that_keeps_nothing_asks_each_time(page: Overheard, tmp_path: Path) -> None:
    await page.page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('forbidden'); } })"
    )
    async with guarded(tmp_path) as server:
        for _ in range(2):
            await page.page.goto(server.url)
            await page.give(TOKEN)
            await page.expect_state("live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_form_can_be_read_on_a_narrow_screen(browser: Browser, scheme: Any, tmp_path: Path) -> None:
    context = await browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 800})
    narrow = Overheard(await context.new_page())
    async with guarded(tmp_path) as server:
        await narrow.page.goto(server.url)
        await narrow.give("swordfish, swordfish")
        await expect(narrow.page.get_by_role("alert")).not_to_be_empty()
        widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        scroll, seen = await narrow.page.evaluate(widths)
        found = await narrow.page.evaluate(TEXT_CONTRASTS)
    await context.close()
    assert scroll <= seen
    texts = [text for text, _ in found["text"]]
    assert {
        "This server asks for a token",
        "Token",
        "Connect",
        "The server does not know this token.",
    } <= set(texts)
    assert [entry for entry in found["text"] if entry[1] < 4.5] == []


# How far it has read ------------------------------------------------------------------------------


class Wire:
    """Between the browser and a server; `cut` breaks every connection without a word."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        self._open.set()
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as listener:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
            self.cut()
            self._open.set()

    def cut(self) -> None:
        """Until `mend` nobody gets through."""
        self._open.clear()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def mend(self) -> None:
        self._open.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, back]

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(4_096):
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(forward(reader, back), forward(there, writer), return_exceptions=True)


async def test_a_watcher_that_comes_back_goes_on_where_it_was(page: Overheard) -> None:
    """What came during the break comes once, and nothing comes again."""
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    async with serving(streams=[own]) as server:
        wire = Wire(server.port)
        async with wire.laid() as url:
            own.event_log.append(started(1))
            await page.page.goto(url)
            await page.expect_state("live")
            own.event_log.append(started(2))
            await expect(page.card(2)).to_be_visible()
            wire.cut()
            await page.expect_state("reconnecting")
            own.event_log.append(started(3))
            wire.mend()
            await page.expect_state("live")
            own.event_log.append(started(4))
            await expect(page.card(4)).to_be_visible()
            await expect(page.page.locator("#missed")).to_be_hidden()
    first, *_, last = [said for said in page.said if said]
    assert first == [{"type": "subscribe", "stream": "demo"}]
    assert last == [{"type": "subscribe", "stream": "demo", "resume": {"session": "s", "last_seq": 2}}]
    assert [event.get("seq") for event in page.heard[-1]] == [None, 3, 4]


async def test_what_the_server_no_longer_has_is_told(page: Overheard) -> None:
    own = PublishedStream("demo", "The stream", None, EventLog("s", keep=2))
    async with serving(streams=[own]) as server:
        wire = Wire(server.port)
        async with wire.laid() as url:
            own.event_log.append(started(1))
            await page.page.goto(url)
            await expect(page.card(1)).to_be_visible()
            wire.cut()
            await page.expect_state("reconnecting")
            for utterance in range(2, 7):
                own.event_log.append(started(utterance))
            wire.mend()
            await page.expect_state("live")
            await expect(page.card(6)).to_be_visible()
            await expect(page.page.locator("#missed")).to_be_visible()
            await expect(page.page.locator("#missed")).to_contain_text("some events are missing")
    assert page.heard[-1][0]["lost_from_seq"] == 2


async def test_another_session_is_read_from_its_beginning(page: Overheard) -> None:
    async with PageServer() as server:
        await page.open(server)
        server.publish(emotion(1, text="of the first"))
        await expect(page.card(1)).to_be_visible()
        await server.stop()
        await server.restart("s2")
        server.publish(emotion(1, text="of the second"))
        await expect(page.page.get_by_text("of the second")).to_be_visible()
        await expect(page.page.locator(".divider")).to_have_count(1)
        await expect(page.page.locator("#missed")).to_be_hidden()


async def test_a_stream_that_has_ended_is_shown_whole_to_who_asks_again(page: Overheard) -> None:
    """Behind `closed` nothing comes: to go on there would be to wait for ever."""
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    own.event_log.append(started(1))
    totals = messages.Totals(audio_ms=1_000, utterances=0, dropped_ms=0)
    own.event_log.append(messages.Closed(reason="end_of_stream", totals=totals))
    async with serving(streams=[own]) as server:
        await page.page.goto(server.url)
        await page.expect_state("ended")
        async with page.page.expect_websocket() as asked:
            await page.page.get_by_role("button", name="Connect now").click()
        again = await asked.value
        if not again.is_closed():
            await again.wait_for_event("close")
        await page.expect_state("ended")
    assert page.said == [[{"type": "subscribe", "stream": "demo"}]] * 2
    assert [event.get("seq") for event in page.heard[1]] == [None, 1, 2]
