"""The page's modules without the page: each is imported alone into an empty document of the same origin."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.support.browser import chromium, needs_chromium
from tests.support.page_server import PageServer, emotion, speech_started

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

Events = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blank() -> AsyncIterator[Page]:
    """A document of the server's origin in which no script of the page runs."""
    async with PageServer() as server, chromium() as browser:
        page = await browser.new_page()
        await page.goto(server.url + "style.css")
        yield page


async def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """What an exported function returns; undefined and null are both None."""
    script = f"async (given) => (await import('/{module}.js')).{function}(...given)"
    return await page.evaluate(script, list(arguments))


@pytest.mark.parametrize(
    ("attempt", "chance", "expected_ms"),
    [
        (0, 0.0, 250),
        (0, 1.0, 500),
        (1, 1.0, 1000),
        (2, 0.0, 1000),
        (4, 1.0, 8000),
        (5, 1.0, 15_000),
        (999, 0.0, 7500),
    ],
)
async def test_the_wait_doubles_up_to_a_limit_and_chance_halves_it(
    blank: Page, attempt: int, chance: float, expected_ms: int
) -> None:
    assert await call(blank, "reconnect", "backoffMs", attempt, chance) == expected_ms


@pytest.mark.parametrize(
    ("code", "closed_reason", "expected"),
    [
        (1006, None, "again"),
        (1000, None, "again"),
        (1001, "shutting_down", "again"),
        (1013, None, "again"),
        (4413, None, "again"),
        (1000, "end_of_stream", "ended"),
        (1011, "error", "ended"),
        (4400, None, "refused"),
        (4401, None, "refused"),
        (4403, None, "refused"),
    ],
)
async def test_what_the_end_of_a_socket_means(
    blank: Page, code: int, closed_reason: str | None, expected: str
) -> None:
    assert await call(blank, "reconnect", "verdict", code, closed_reason) == expected


@pytest.mark.parametrize(
    ("page_address", "socket"),
    [
        ("http://127.0.0.1:8765/", "ws://127.0.0.1:8765/v1/stream"),
        ("https://voice.example/", "wss://voice.example/v1/stream"),
    ],
)
async def test_the_socket_is_as_safe_as_the_page(blank: Page, page_address: str, socket: str) -> None:
    assert await call(blank, "protocol", "socketAddress", page_address) == socket


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(0, "00:00.0"), (8_170, "00:08.2"), (59_960, "01:00.0"), (754_300, "12:34.3"), (3_600_000, "1:00:00.0")],
)
async def test_times_are_minutes_seconds_and_tenths(blank: Page, ms: int, expected: str) -> None:
    assert await call(blank, "format", "clock", ms) == expected


async def test_a_connection_that_dies_at_once_is_not_hammered(blank: Page) -> None:
    """Closed right after `ready`, it waits longer each time; a connection that lived starts afresh."""
    delays = await blank.evaluate(
        """async () => {
            const { Follower } = await import("/protocol.js");
            const delays = [];
            let clock = 0, sockets = 0;
            const lives = [0, 0, 0, 60_000, 0];
            class Socket {
                constructor() { queueMicrotask(() => this.live()); }
                live() {
                    this.onopen();
                    this.onmessage({ data: JSON.stringify({ type: "ready", session: "s" }) });
                    clock += lives[sockets++];
                    this.onclose({ code: 1006 });
                }
                send() {}
                close() {}
            }
            await new Promise((done) => {
                const follower = new Follower({
                    base: "http://127.0.0.1/",
                    report: (report) => {
                        if (report.phase !== "reconnecting") return;
                        delays.push(report.delayMs);
                        if (delays.length === lives.length) { follower.stop(); done(); }
                    },
                    platform: {
                        fetch: async () => Response.json({ streams: [{ name: "x" }] }),
                        WebSocket: Socket,
                        setTimeout: (run, ms) => (ms < 10_000 ? queueMicrotask(run) : 0),
                        clearTimeout: () => {},
                        random: () => 1,
                        now: () => clock,
                    },
                });
                follower.follow();
            });
            return delays;
        }"""
    )
    assert delays == [500, 1000, 2000, 500, 1000]


def a_stream(seed: int, length: int) -> Events:
    """What a server could send: utterances that overlap by one, some failed, losses in between."""
    rng = random.Random(seed)
    events: Events = []
    waiting: list[int] = []
    for utterance in range(1, length + 1):
        events.append(speech_started(utterance))
        waiting.append(utterance)
        if rng.random() < 0.3:
            events.append(emotion(utterance, "sad", "so far", final=False, reason="speaking"))
        while len(waiting) > rng.randint(0, 1):
            done = waiting.pop(0)
            failed = {"type": "error", "code": "model_error", "message": "no", "fatal": False}
            events.append(failed if rng.random() < 0.1 else emotion(done, text=f"number {done}"))
        if rng.random() < 0.1:
            events.append({"type": "dropped", "ms": 20, "why": "too slow"})
    return [event | {"seq": seq} for seq, event in enumerate(events, 1)]


async def keys_shown(page: Page, sessions: list[Events], names: list[str]) -> list[list[Any]]:
    """[key, final text or null] of every item, after these connections' events."""
    result: list[list[Any]] = await page.evaluate(
        """async ([connections, names]) => {
            const { INITIAL, reduce } = await import("/state.js");
            const { readEvent } = await import("/events.js");
            let state = INITIAL;
            const tell = (event) => {
                state = reduce(state, { kind: "event", event: readEvent(event) });
            };
            connections.forEach((events, index) => {
                tell({ type: "ready", session: names[index] });
                events.forEach(tell);
            });
            return state.items.map((item) => [item.key, item.emotion?.final ? item.emotion.text : null]);
        }""",
        [sessions, names],
    )
    return result


@pytest.mark.parametrize("seed", range(8))
async def test_a_repetition_after_a_break_changes_nothing(blank: Page, seed: int) -> None:
    """Wherever the connection is cut and however much comes again, the list is that of the uncut run."""
    events = a_stream(seed, length=60 if seed % 2 else 300)
    uncut = await keys_shown(blank, [events], ["a"])
    cut = random.Random(seed).randrange(len(events))
    for again_from in (max(0, cut - 200), 0):
        resumed = [events[:cut], events[again_from:]]
        assert await keys_shown(blank, resumed, ["a", "a"]) == uncut
    assert await keys_shown(blank, [events, events[: cut // 2]], ["a", "a"]) == uncut
    keys = [key for key, _ in uncut]
    assert len(set(keys)) == len(keys) <= 200
    finals = [e for e in events if e["type"] == "emotion" and e["final"]]
    shown = [text for _, text in uncut if text is not None]
    assert shown == [e["text"] for e in finals][-len(shown) :]


async def test_a_final_is_never_changed(blank: Page) -> None:
    events = [emotion(1, text="first"), emotion(1, text="second"), emotion(1, text="third", final=False)]
    numbered = [event | {"seq": seq} for seq, event in enumerate(events, 1)]
    assert await keys_shown(blank, [numbered], ["a"]) == [["a/1", "first"]]


async def test_what_a_dead_session_left_unfinished_goes(blank: Page) -> None:
    started = [speech_started(1) | {"seq": 1}]
    done = [emotion(1, text="done") | {"seq": 1}, speech_started(2) | {"seq": 2}]
    assert await keys_shown(blank, [started, started], ["a", "b"]) == [["b/1", None]]
    assert await keys_shown(blank, [done, started], ["a", "b"]) == [
        ["a/1", "done"],
        ["b/start", None],
        ["b/1", None],
    ]
