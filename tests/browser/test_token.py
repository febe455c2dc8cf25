"""What the page keeps from one connection to the next: the token, and its position in the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocket, expect

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import BROWSER_TEST, TEXT_CONTRASTS, DemoPage, Pages
from tests.support.page_server import PageServer, emotion
from tests.support.serving import serving

pytestmark = BROWSER_TEST

TOKEN: Final = "open sesame, 0123456789"
SUBSCRIBE: Final = {"type": "subscribe", "stream": "demo", "waveform_from_ms": 0}
KEY: Final = "emostream.token"


class RecordingPage(DemoPage):
    """A page that also records the messages of its sockets, one list for each."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.sent: list[list[dict[str, Any]]] = []
        self.received: list[list[dict[str, Any]]] = []
        self.headers: list[str | None] = []
        page.on("websocket", self._record)
        page.on(
            "request",
            lambda request: (
                self.headers.append(request.headers.get("authorization"))
                if request.url.endswith("/v1/streams")
                else None
            ),
        )

    def _record(self, socket: WebSocket) -> None:
        sent: list[dict[str, Any]] = []
        received: list[dict[str, Any]] = []
        self.sent.append(sent)
        self.received.append(received)
        socket.on("framesent", lambda data: sent.append(json.loads(data)))
        socket.on("framereceived", lambda data: received.append(json.loads(data)))

    @property
    def form(self) -> Any:
        return self.page.get_by_role("form", name="This server requires a token")

    async def enter(self, token: str) -> None:
        await self.page.get_by_label("Token", exact=True).fill(token)
        await self.page.keyboard.press("Enter")

    async def stored(self) -> str | None:
        stored: str | None = await self.page.evaluate("key => sessionStorage.getItem(key)", KEY)
        return stored


@pytest_asyncio.fixture(loop_scope="session")
async def app(pages: Pages) -> RecordingPage:
    return RecordingPage(await pages.open())


def started(utterance: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=utterance, start_ms=utterance * 1_000)


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Server]:
    """A real server that requires TOKEN, with a stream with an utterance in progress."""
    file = folder / "tokens"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    own.event_log.append(started(1))
    async with serving(streams=[own], token_file=str(file)) as server:
        yield server


# The token ----------------------------------------------------------------------------------------


async def test_the_token_opens_the_page(app: RecordingPage, tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await app.page.goto(server.url)
        await app.expect_state("refused")
        await expect(app.form).to_be_visible()
        await expect(app.page.get_by_label("Token", exact=True)).to_be_focused()
        await expect(app.page.get_by_role("alert")).to_be_empty()
        await app.enter(TOKEN)
        await app.expect_state("live")
        await expect(app.form).to_be_hidden()
        await expect(app.card(1)).to_be_visible()
    assert app.headers == [None, f"Bearer {TOKEN}"]
    assert app.sent == [[SUBSCRIBE | {"token": TOKEN}]]


async def test_the_token_is_in_no_address_and_kept_in_this_tab_only(
    app: RecordingPage, tmp_path: Path
) -> None:
    async with guarded(tmp_path) as server:
        await app.page.goto(server.url)
        await app.enter(TOKEN)
        await app.expect_state("live")
        assert await app.stored() == TOKEN
        assert await app.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert not any("sesame" in url for url in [*app.requests, app.page.url])
        await app.page.reload()
        await app.expect_state("live")
        await expect(app.form).to_be_hidden()
        other = RecordingPage(await app.page.context.new_page())
        await other.page.goto(server.url)
        await expect(other.form).to_be_visible()


async def test_a_wrong_token_is_reported_and_forgotten_and_another_can_be_entered(
    app: RecordingPage, tmp_path: Path
) -> None:
    async with guarded(tmp_path) as server:
        await app.page.goto(server.url)
        await app.enter("swordfish, swordfish")
        error = app.page.get_by_role("alert")
        await expect(error).to_have_text("The server does not accept this token.")
        field = app.page.get_by_label("Token", exact=True)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description("The server does not accept this token.")
        await expect(field).to_be_focused()
        await expect(field).to_have_value("")
        assert await app.stored() is None
        await app.enter(TOKEN)
        await app.expect_state("live")
        await expect(app.form).to_be_hidden()


async def test_a_token_that_no_header_can_contain_is_not_sent(app: RecordingPage, tmp_path: Path) -> None:
    async with guarded(tmp_path) as server:
        await app.page.goto(server.url)
        await app.enter("\N{KEY} and \N{LOCK}")
        await expect(app.page.get_by_role("alert")).to_have_text(
            "A token consists of Latin letters, digits and punctuation."
        )
        assert app.headers == [None]
        await app.enter("  ")
        assert app.headers == [None]


async def test_a_socket_may_require_the_token_too(app: RecordingPage) -> None:
    """The list may be public although the stream is not."""
    async with PageServer() as server:
        await app.open(server)
        await expect(app.form).to_be_hidden()
        server.publish({"type": "error", "code": "unauthorized", "message": "no token", "fatal": True})
        await server.close_sockets(4401)
        await app.expect_state("refused")
        await expect(app.form).to_be_visible()
        await app.enter(TOKEN)
        await app.expect_state("live")
        await expect(app.form).to_be_hidden()
    assert app.sent[1][0]["token"] == TOKEN


async def test_a_stored_token_that_is_no_longer_valid_is_forgotten(app: RecordingPage) -> None:
    await app.page.add_init_script(f"sessionStorage.setItem({KEY!r}, 'the one of yesterday')")
    async with PageServer() as server:
        await app.open(server)
        await server.close_sockets(4401)
        await expect(app.page.get_by_role("alert")).to_have_text("The server does not accept this token.")
        assert await app.stored() is None
    assert app.sent[0][0]["token"] == "the one of yesterday"


async def test_a_browser_without_storage_asks_each_time(app: RecordingPage, tmp_path: Path) -> None:
    await app.page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('forbidden'); } })"
    )
    async with guarded(tmp_path) as server:
        for _ in range(2):
            await app.page.goto(server.url)
            await app.enter(TOKEN)
            await app.expect_state("live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_form_is_readable_on_a_narrow_screen(pages: Pages, scheme: Any, tmp_path: Path) -> None:
    narrow = RecordingPage(await pages.open(color_scheme=scheme, viewport={"width": 320, "height": 800}))
    async with guarded(tmp_path) as server:
        await narrow.page.goto(server.url)
        await narrow.enter("swordfish, swordfish")
        await expect(narrow.page.get_by_role("alert")).not_to_be_empty()
        widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        scroll, visible = await narrow.page.evaluate(widths)
        found = await narrow.page.evaluate(TEXT_CONTRASTS)
    assert scroll <= visible
    texts = [text for text, _ in found["text"]]
    assert {
        "This server requires a token",
        "Token",
        "Connect",
        "The server does not accept this token.",
    } <= set(texts)
    assert [entry for entry in found["text"] if entry[1] < 4.5] == []


# The position in the stream ------------------------------------------------------------------------


class Proxy:
    """Between the browser and a server; `cut` breaks every connection without a close frame."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        self._open.set()
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as listener:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
            self.cut()
            self._open.set()

    def cut(self) -> None:
        """No new connection is forwarded until `mend`."""
        self._open.clear()
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def mend(self) -> None:
        self._open.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, upstream_writer]

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(4_096):
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(
            forward(reader, upstream_writer), forward(upstream_reader, writer), return_exceptions=True
        )


async def test_a_subscription_resumes_after_a_break(app: RecordingPage) -> None:
    """Events of the break are received once, and none is received again."""
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    async with serving(streams=[own]) as server:
        proxy = Proxy(server.port)
        async with proxy.running() as url:
            own.event_log.append(started(1))
            await app.page.goto(url)
            await app.expect_state("live")
            own.event_log.append(started(2))
            await expect(app.card(2)).to_be_visible()
            proxy.cut()
            await app.expect_state("reconnecting")
            own.event_log.append(started(3))
            proxy.mend()
            await app.expect_state("live")
            own.event_log.append(started(4))
            await expect(app.card(4)).to_be_visible()
            await expect(app.page.locator("#events-lost")).to_be_hidden()
    first, *_, last = [sent for sent in app.sent if sent]
    assert first == [SUBSCRIBE]
    assert last == [SUBSCRIBE | {"resume": {"session": "s", "last_seq": 2}}]
    assert [event.get("seq") for event in app.received[-1]] == [None, 3, 4]


async def test_lost_events_are_reported(app: RecordingPage) -> None:
    own = PublishedStream("demo", "The stream", None, EventLog("s", keep=2))
    async with serving(streams=[own]) as server:
        proxy = Proxy(server.port)
        async with proxy.running() as url:
            own.event_log.append(started(1))
            await app.page.goto(url)
            await expect(app.card(1)).to_be_visible()
            proxy.cut()
            await app.expect_state("reconnecting")
            for utterance in range(2, 7):
                own.event_log.append(started(utterance))
            proxy.mend()
            await app.expect_state("live")
            await expect(app.card(6)).to_be_visible()
            await expect(app.page.locator("#events-lost")).to_be_visible()
            await expect(app.page.locator("#events-lost")).to_contain_text("some are missing here")
    assert app.received[-1][0]["lost_from_seq"] == 2


async def test_another_session_is_received_from_its_beginning(app: RecordingPage) -> None:
    async with PageServer() as server:
        await app.open(server)
        server.publish(emotion(1, text="of the first"))
        await expect(app.card(1)).to_be_visible()
        await server.stop()
        await server.restart("s2")
        server.publish(emotion(1, text="of the second"))
        await expect(app.page.locator("#utterances").get_by_text("of the second")).to_be_visible()
        await expect(app.page.locator(".divider")).to_have_count(1)
        await expect(app.page.locator("#events-lost")).to_be_hidden()


async def test_an_ended_stream_is_received_completely_when_it_is_requested_again(app: RecordingPage) -> None:
    """Nothing follows `closed`: to resume after it would be to wait for ever."""
    own = PublishedStream("demo", "The stream", None, EventLog("s"))
    own.event_log.append(started(1))
    totals = messages.Totals(audio_ms=1_000, utterances=0, dropped_ms=0)
    own.event_log.append(messages.Closed(reason="end_of_stream", totals=totals))
    async with serving(streams=[own]) as server:
        await app.page.goto(server.url)
        await app.expect_state("ended")
        async with app.page.expect_websocket() as requested:
            await app.page.get_by_role("button", name="Connect now").click()
        again = await requested.value
        if not again.is_closed():
            await again.wait_for_event("close")
        await app.expect_state("ended")
    assert app.sent == [[SUBSCRIBE]] * 2
    assert [event.get("seq") for event in app.received[1]] == [None, 1, 2]
