"""The page's journal: one clock for all the sessions of a source, and what is known on it."""

from __future__ import annotations

import itertools
import json
import random
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.support.browser import chromium, needs_chromium
from tests.support.page_server import LABELS, Message, PageServer, emotion, speech_started

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

Step = list[Any]
Found = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blank() -> AsyncIterator[Page]:
    """A document of the server's origin in which no script of the page runs."""
    async with PageServer() as server, chromium() as browser:
        page = await browser.new_page()
        await page.goto(server.url + "style.css")
        yield page


def take(message: Message, now: float = 0, start_ms: float | None = None) -> Step:
    return ["take", now, message, start_ms]


def live(now: float) -> Step:
    """As the page does it: every phase before this one has stopped the clock."""
    return ["live", now]


def stop(now: float) -> Step:
    return ["stop", now]


def reach(ms: float, now: float) -> Step:
    return ["reach", now, ms]


def look(now: float) -> Step:
    return ["look", now]


async def after(page: Page, *steps: Step) -> Found:
    """What a new journal holds behind these steps. told: what `take` gave back; edges: behind each step."""
    found: Found = await page.evaluate(
        """async (steps) => {
            const { Journal } = await import("/journal.js");
            const { readEvent } = await import("/events.js");
            const journal = new Journal();
            const [told, edges] = [[], []];
            const act = {
                take: (now, wire, startMs) => told.push(journal.take(readEvent(wire), wire, now, startMs)),
                live: (now) => journal.start(now),
                stop: (now) => journal.stop(now),
                reach: (now, ms) => journal.reach(ms, now),
                look: () => {},
            };
            for (const [kind, now, ...rest] of steps) {
                act[kind](now, ...rest);
                edges.push(journal.edgeMs(now));
            }
            const { finals, open, marks, forgotten, labels, session, offsetMs, lines } = journal;
            return {
                told, edges, finals, open, marks, forgotten, labels, session, offsetMs, lines,
                shares: journal.shares(), latency: journal.latency(),
            };
        }""",
        list(steps),
    )
    return found


def ready(session: str, labels: tuple[str, ...] = LABELS) -> Message:
    return {"type": "ready", "session": session, "labels": list(labels)}


def final(utterance: int, label: str, start_ms: int, end_ms: int) -> Message:
    return emotion(utterance, label, start_ms=start_ms, end_ms=end_ms)


def so_far(utterance: int, label: str = "sad", **changes: Any) -> Message:
    return emotion(utterance, label, "", final=False, reason="speaking", **changes)


def failed(utterance: int | None) -> Message:
    return {
        "type": "error",
        "code": "analysis_failed",
        "message": "no",
        "fatal": False,
        "utterance": utterance,
    }


def closed(audio_ms: int) -> Message:
    totals = {"audio_ms": audio_ms, "utterances": 1, "dropped_ms": 0}
    return {"type": "closed", "reason": "end_of_stream", "totals": totals}


def in_order(*messages: Message) -> list[Step]:
    """Numbered as a session numbers them."""
    return [take(message | {"seq": seq}) for seq, message in enumerate(messages, 1)]


def spans(found: Found) -> list[tuple[str, float, float]]:
    return [(one["key"], one["startMs"], one["endMs"]) for one in found["finals"]]


def without_told(found: Found) -> Found:
    return {name: value for name, value in found.items() if name not in ("told", "edges")}


# The clock ----------------------------------------------------------------------------------------


async def test_the_first_session_s_clock_is_the_page_s(blank: Page) -> None:
    found = await after(blank, take(ready("a")), *in_order(speech_started(1), emotion(1)))
    assert (found["session"], found["offsetMs"], found["marks"]) == ("a", 0, [])
    assert spans(found) == [("a/1", 4_000, 6_500)]


@pytest.mark.parametrize(("end_ms", "offset_ms"), [(6_500, 7_000), (6_501, 8_000), (7_499, 8_000)])
async def test_a_new_session_goes_on_behind_the_old_one(blank: Page, end_ms: int, offset_ms: int) -> None:
    """The old one was heard to the end of its final and half a second of pause; whole seconds part them. Its
    utterances are numbered on.
    """
    found = await after(
        blank,
        take(ready("a")),
        *in_order(final(1, "sad", 4_000, end_ms)),
        take(ready("b")),
        *in_order(speech_started(1), final(1, "happy", 4_000, 6_000), speech_started(2)),
    )
    assert (found["session"], found["offsetMs"]) == ("b", offset_ms)
    assert spans(found) == [("a/1", 4_000, end_ms), ("b/2", offset_ms + 4_000, offset_ms + 6_000)]
    assert [(one["key"], one["startMs"]) for one in found["open"]] == [("b/3", offset_ms + 8_000)]
    assert found["marks"] == [{"kind": "session", "fromMs": offset_ms, "toMs": offset_ms}]


async def test_where_a_session_begins_can_be_said(blank: Page) -> None:
    first = await after(blank, take(ready("a"), start_ms=0), *in_order(emotion(1)))
    assert spans(first) == [("a/1", 4_000, 6_500)]
    found = await after(
        blank,
        take(ready("a"), start_ms=0),
        *in_order(emotion(1)),
        take(ready("b"), start_ms=30_250),
        *in_order(emotion(1)),
    )
    assert spans(found) == [("a/1", 4_000, 6_500), ("b/2", 34_250, 36_750)]
    assert [mark["fromMs"] for mark in found["marks"]] == [30_250]


async def test_a_resumed_session_goes_on_where_it_was(blank: Page) -> None:
    one, two = in_order(emotion(1), emotion(2))
    found = await after(
        blank,
        take(ready("a")),
        take(ready("b"), start_ms=10_000),
        one,
        take(ready("b"), start_ms=99_000),
        two,
    )
    assert found["offsetMs"] == 10_000
    assert spans(found) == [("b/1", 14_000, 16_500), ("b/2", 18_000, 20_500)]
    assert len(found["marks"]) == 1


async def test_an_event_is_told_on_the_page_s_clock(blank: Page) -> None:
    begun = take(ready("a"), start_ms=10_000)
    found = await after(blank, begun, *in_order(speech_started(1), so_far(1), emotion(1), closed(7_000)))
    told = found["told"]
    assert [event["type"] for event in told] == [
        "ready",
        "speech_started",
        "emotion",
        "emotion",
        "closed",
    ]
    assert [event["startMs"] for event in told[1:4]] == [14_000] * 3
    assert [event["endMs"] for event in told[2:4]] == [16_500] * 2
    assert told[4]["totals"]["audioMs"] == 7_000  # a length, not a time


async def test_what_was_told_before_is_told_no_more(blank: Page) -> None:
    steps = in_order(speech_started(1), emotion(1), speech_started(2))
    again = [take(ready("a")), *steps, take(ready("a")), *steps]
    found = await after(blank, *again, take(ready("b")), *steps)
    assert [event is None for event in found["told"]] == [
        *[False] * 4,
        *[False, True, True, True],  # `ready` has no number
        *[False] * 4,  # another session counts anew
    ]
    assert [key for key, *_ in spans(found)] == ["a/1", "b/3"]


async def test_what_has_no_place_in_a_session_is_told_each_time(blank: Page) -> None:
    refusal = failed(None) | {"seq": 0}
    found = await after(blank, take(ready("a")), take(refusal), take(refusal))
    assert [event and event["type"] for event in found["told"]] == ["ready", "error", "error"]


def a_stream(rng: random.Random, length: int) -> list[Message]:
    """Utterances that overlap by one, some judged so far, some failed, losses in between."""
    messages: list[Message] = []
    waiting: list[int] = []
    for utterance in range(1, length + 1):
        messages.append(speech_started(utterance))
        waiting.append(utterance)
        if rng.random() < 0.3:
            messages.append(so_far(utterance))
        while len(waiting) > rng.randint(0, 1):
            done = waiting.pop(0)
            messages.append(failed(done) if rng.random() < 0.1 else emotion(done, rng.choice(LABELS)))
        if rng.random() < 0.1:
            messages.append({"type": "dropped", "ms": 20, "why": "too slow"})
    return messages


@pytest.mark.parametrize("seed", range(4))
async def test_a_break_changes_nothing(blank: Page, seed: int) -> None:
    """Cut anywhere, and however much comes again: all that is held is that of the uncut run."""
    rng = random.Random(seed)
    steps = in_order(*a_stream(rng, 60))
    uncut = without_told(await after(blank, take(ready("a")), *steps))
    assert len(uncut["finals"]) > 40
    cut = rng.randrange(1, len(steps))
    for again_from in (cut, rng.randrange(cut), 0):
        resumed = [take(ready("a")), *steps[:cut], take(ready("a")), *steps[again_from:]]
        assert without_told(await after(blank, *resumed)) == uncut


# Utterances ---------------------------------------------------------------------------------------


async def test_an_utterance_is_open_until_its_final(blank: Page) -> None:
    steps = [
        take(ready("a")),
        *in_order(
            speech_started(1), so_far(1, "sad"), so_far(1, "happy"), speech_started(2), emotion(1, "angry")
        ),
    ]
    states = []
    for count in range(1, len(steps) + 1):
        found = await after(blank, *steps[:count])
        opened = {one["key"]: one["emotion"] and one["emotion"]["label"] for one in found["open"]}
        states.append((opened, {one["key"]: one["label"] for one in found["finals"]}))
    assert states == [
        ({}, {}),
        ({"a/1": None}, {}),
        ({"a/1": "sad"}, {}),
        ({"a/1": "happy"}, {}),
        ({"a/1": "happy", "a/2": None}, {}),
        ({"a/2": None}, {"a/1": "angry"}),
    ]


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (failed(1), ["a/2"]),
        (failed(None), ["a/1", "a/2"]),
        (failed(7), ["a/1", "a/2"]),
        (closed(20_000), []),
        (ready("a"), ["a/1", "a/2"]),
        (ready("b"), []),
    ],
    ids=["its error", "another error", "another utterance's", "the end", "resumed", "a new session"],
)
async def test_what_becomes_of_the_unfinished(blank: Page, message: Message, left: list[str]) -> None:
    started = in_order(speech_started(1), speech_started(2))
    found = await after(blank, take(ready("a")), *started, take(message))
    assert [one["key"] for one in found["open"]] == left
    assert found["finals"] == []


async def test_lost_sound_is_marked_up_to_the_edge(blank: Page) -> None:
    lost = {"type": "dropped", "ms": 1_200, "why": "too slow"}
    found = await after(
        blank, take(ready("a")), take(lost), take(speech_started(1)), live(5_000), take(lost, 5_300)
    )
    assert found["marks"] == [
        {"kind": "lost", "fromMs": 0, "toMs": 0},
        {"kind": "lost", "fromMs": 3_100, "toMs": 4_300},
    ]


# How far the source has got -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "edge_ms"),
    [
        (speech_started(1), 4_000),
        (so_far(1), 6_500),
        (emotion(1), 7_000),  # and the half second of pause that ended it
        (emotion(1, timing=None), 6_500),
        (closed(9_100), 9_100),
        (failed(1), 0),
    ],
    ids=["speech", "so far", "final", "final without timing", "closed", "error"],
)
@pytest.mark.parametrize("offset_ms", [0, 20_000])
async def test_an_event_tells_how_far_the_source_has_got(
    blank: Page, message: Message, edge_ms: int, offset_ms: int
) -> None:
    found = await after(blank, take(ready("a"), start_ms=offset_ms), take(message, now=77))
    assert found["edges"] == [offset_ms, offset_ms + edge_ms]


async def test_the_source_goes_on_by_itself_only_while_it_is_live(blank: Page) -> None:
    found = await after(
        blank,
        take(ready("a"), now=50),
        take(speech_started(1), now=100),
        look(400),  # not live yet
        live(400),
        look(650),
        take(speech_started(1), now=700),  # no news: the clock is ahead of it
        stop(900),
        look(90_000),
    )
    assert found["edges"] == [0, 4_000, 4_000, 4_000, 4_250, 4_300, 4_500, 4_500]


async def test_the_end_stops_the_clock(blank: Page) -> None:
    begun = [take(ready("a")), live(0)]
    told_more = await after(blank, *begun, take(closed(9_000), now=2_000), look(60_000))
    assert told_more["edges"][-2:] == [9_000, 9_000]
    told_less = await after(blank, *begun, take(closed(1_500), now=2_000), look(60_000))
    assert told_less["edges"][-2:] == [2_000, 2_000]


async def test_sound_tells_how_far_the_source_has_got(blank: Page) -> None:
    found = await after(
        blank, take(ready("a")), reach(3_000, 10), reach(2_000, 20), live(20), look(120), reach(8_000, 130)
    )
    assert found["edges"] == [0, 3_000, 3_000, 3_000, 3_100, 8_000]


@pytest.mark.parametrize("seed", range(6))
async def test_the_edge_never_goes_back(blank: Page, seed: int) -> None:
    """It is the furthest of all moments told of, each grown by the time that was live since."""
    rng = random.Random(seed)
    steps, expected = [take(ready("a"))], [0]
    now = lived = 0
    is_live = False
    known = [(0, 0)]  # a moment, and how long it had been live when it was told
    for _ in range(300):
        passed = rng.randrange(0, 2_000)
        now += passed
        lived += passed if is_live else 0
        edge = max(ms - at for ms, at in known) + lived
        match rng.choice(["reach", "live", "stop", "look", "speech"]):
            case "reach":
                known.append((max(0, edge + rng.randrange(-3_000, 3_000)), lived))
                steps.append(reach(known[-1][0], now))
            case "speech":
                known.append((max(0, edge + rng.randrange(-3_000, 3_000)), lived))
                steps.append(take(speech_started(1) | {"start_ms": known[-1][0]}, now))
            case "live":
                is_live = True
                steps.append(live(now))
            case "stop":
                is_live = False
                steps.append(stop(now))
            case _:
                steps.append(look(now))
        expected.append(max(ms - at for ms, at in known) + lived)
    edges = (await after(blank, *steps))["edges"]
    assert edges == expected
    assert edges == sorted(edges)


# Shares and latency -------------------------------------------------------------------------------


async def test_shares_are_of_the_time_of_speech(blank: Page) -> None:
    """Ten seconds of speech; a label that `ready` did not name stands behind those that it did."""
    found = await after(
        blank,
        take(ready("a")),
        *in_order(
            final(1, "bored", 0, 500),
            final(2, "sad", 1_000, 5_000),
            so_far(3, "angry", start_ms=5_000, end_ms=9_000),
            final(3, "happy", 5_000, 9_000),
            final(4, "sad", 10_000, 11_500),
        ),
    )
    assert [tuple(one.values()) for one in found["shares"]] == [
        ("angry", 0, 0, 0),
        ("happy", 4_000, 1, 0.4),
        ("sad", 5_500, 2, 0.55),
        ("neutral", 0, 0, 0),
        ("bored", 500, 1, 0.05),
    ]


async def test_shares_of_nothing_are_nought(blank: Page) -> None:
    found = await after(blank, take(ready("a", ("calm", "angry"))))
    assert found["shares"] == [
        {"label": label, "ms": 0, "count": 0, "share": 0} for label in ("calm", "angry")
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_shares_add_up_to_one(blank: Page, seed: int) -> None:
    rng = random.Random(seed)
    finals = []
    said = dict.fromkeys((*LABELS, "bored"), 0)
    for utterance in range(200):
        label, length = rng.choice(list(said)), rng.randrange(100, 28_000)
        said[label] += length
        finals.append(final(utterance, label, utterance * 30_000, utterance * 30_000 + length))
    shares = (await after(blank, take(ready("a")), *in_order(*finals)))["shares"]
    assert {one["label"]: one["ms"] for one in shares} == said
    assert [one["share"] for one in shares] == [ms / sum(said.values()) for ms in said.values()]
    assert sum(one["share"] for one in shares) == pytest.approx(1)
    assert sum(one["count"] for one in shares) == 200


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 100, 997])
async def test_latencies_are_percentiles_by_nearest_rank(blank: Page, count: int) -> None:
    """Of the whole, and of what is left of it behind the pause that had to be waited for."""
    rng = random.Random(count)
    finals, totals, decided = [], [], []
    for utterance in range(count):
        endpoint = round(rng.uniform(200, 900), 1)
        total = round(endpoint + rng.expovariate(0.005), 1)
        totals.append(total)
        decided.append(total - endpoint)
        timing = emotion(0)["timing"] | {"endpoint_ms": endpoint, "total_ms": total}
        finals += [so_far(utterance), emotion(utterance, timing=timing)]
    latency = (await after(blank, take(ready("a")), *in_order(*finals)))["latency"]
    for name, values in {"total": totals, "decided": decided}.items():
        p50, p95 = np.percentile(values, [50, 95], method="inverted_cdf")
        assert latency[name] == {"p50": p50, "p95": p95}
    assert latency["count"] == count


async def test_there_is_no_latency_of_nothing(blank: Page) -> None:
    found = await after(blank, take(ready("a")), *in_order(so_far(1)))
    assert found["latency"] == {"count": 0, "total": None, "decided": None}


# Lines --------------------------------------------------------------------------------------------


async def test_lost_sound_is_marked_where_it_was(blank: Page) -> None:
    """The server says where; whoever reads it later sees it there too."""
    lost = {"type": "dropped", "ms": 1_200, "why": "too slow", "at_ms": 2_000}
    found = await after(blank, take(ready("a")), take(speech_started(9)), live(5_000), take(lost, 8_000))
    assert found["marks"] == [{"kind": "lost", "fromMs": 2_000, "toMs": 3_200}]
    moved = await after(blank, take(ready("a"), start_ms=10_000), take(lost, 0))
    assert moved["marks"] == [{"kind": "lost", "fromMs": 12_000, "toMs": 13_200}]


async def test_who_joins_late_knows_how_far_the_stream_is(blank: Page) -> None:
    found = await after(blank, take(ready("a") | {"clock_ms": 600_000}), look(0))
    assert found["edges"][-1] == 600_000


async def test_lines_are_the_wire_s_events_as_they_came(blank: Page) -> None:
    """Each once; what this page does not know is kept."""
    word = {"text": "stop", "start_ms": 4_100, "end_ms": 4_400, "confidence": 0.9, "stress": 2}
    spoken = emotion(1, words=[word], arousal=0.7)
    said = [
        speech_started(1) | {"seq": 1},
        so_far(1) | {"seq": 2},
        spoken | {"seq": 3},
        {"type": "dropped", "ms": 20, "why": "too slow", "seq": 4},
        failed(2) | {"seq": 5},
        closed(9_000) | {"seq": 6},
    ]
    unmoved = await after(blank, take(ready("a")), *map(take, said), *map(take, said))
    assert [json.loads(line) for line in unmoved["lines"]] == said

    later = await after(blank, take(ready("a"), start_ms=10_000), *map(take, said))
    assert later["lines"] == unmoved["lines"]


# Bounds -------------------------------------------------------------------------------------------


async def test_a_long_day_is_counted_whole_and_held_in_part(blank: Page) -> None:
    """A second of talk every two seconds, angry and sad in turns."""
    told = 12_345
    found = await blank.evaluate(
        """async ([wire, told]) => {
            const { Journal, KEPT_FINALS } = await import("/journal.js");
            const { readEvent } = await import("/events.js");
            const journal = new Journal();
            journal.take(readEvent({ type: "ready", session: "a", labels: ["angry", "sad"] }), null, 0);
            let [most, holes] = [0, 0];
            for (let i = 1; i <= told; i++) {
                const label = i % 2 ? "angry" : "sad";
                const timing = { ...wire.timing, endpoint_ms: 0, total_ms: i };
                const times = { start_ms: 2_000 * i, end_ms: 2_000 * i + 1_000 };
                const one = { ...wire, ...times, seq: i, utterance: i, label, timing };
                journal.take(readEvent(one), one, 0);
                most = Math.max(most, journal.finals.length);
                if (journal.forgotten + journal.finals.length !== i) holes++;
            }
            return {
                most, holes, bound: KEPT_FINALS, forgotten: journal.forgotten,
                kept: journal.finals.map(({ utterance }) => utterance),
                shares: journal.shares(), latency: journal.latency(), lines: journal.lines.length,
            };
        }""",
        [emotion(1), told],
    )
    assert (found["most"], found["bound"], found["holes"]) == (10_000, 10_000, 0)
    assert found["kept"] == list(range(found["forgotten"] + 1, told + 1))
    assert len(found["kept"]) >= 9_000
    assert found["lines"] == told
    assert [(one["label"], one["count"], one["ms"]) for one in found["shares"]] == [
        ("angry", 6_173, 6_173_000),
        ("sad", 6_172, 6_172_000),
    ]
    p50, p95 = np.percentile(found["kept"], [50, 95], method="inverted_cdf")
    assert found["latency"]["count"] == len(found["kept"])
    assert found["latency"]["total"] == found["latency"]["decided"] == {"p50": p50, "p95": p95}


async def test_lines_and_marks_are_bounded(blank: Page) -> None:
    found = await blank.evaluate(
        """async () => {
            const { Journal } = await import("/journal.js");
            const { readEvent } = await import("/events.js");
            const journal = new Journal();
            journal.take(readEvent({ type: "ready", session: "a" }), null, 0);
            let [lines, marks] = [0, 0];
            for (let seq = 1; seq <= 45_000; seq++) {
                const wire = { type: "dropped", ms: 20, why: "too slow", seq };
                journal.take(readEvent(wire), wire, 0);
                lines = Math.max(lines, journal.lines.length);
                marks = Math.max(marks, journal.marks.length);
            }
            const left = journal.lines;
            return { lines, marks, first: left[0], last: left.at(-1), left: left.length };
        }"""
    )
    assert (found["lines"], found["marks"]) == (40_000, 10_000)
    assert json.loads(found["last"])["seq"] == 45_000
    assert json.loads(found["first"])["seq"] == 45_000 - found["left"] + 1


# What is seen -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_what_lies_in_a_span_is_seen(blank: Page, seed: int) -> None:
    """Against a look at each one; what is open reaches to the edge. Few milliseconds: ends often touch."""
    rng = random.Random(seed)
    at = 0
    finals: list[Found] = []
    started: list[Found] = []
    for number in range(rng.choice([0, 1, 2, 40])):
        start_ms = at + rng.randrange(0, 4)
        at = start_ms + rng.randrange(1, 5)
        finals.append({"key": f"f{number}", "startMs": start_ms, "endMs": at})
    for number in range(seed % 3):
        start_ms = at + number
        provisional = {"startMs": start_ms, "endMs": start_ms + 8, "label": "sad"} if number else None
        started.append({"key": f"o{number}", "startMs": start_ms, "emotion": provisional})
    edge_ms = at + 5
    looks = [[low, low + length] for low in range(-5, at + 20) for length in (0, 1, 2, 7, 30)]
    seen = await blank.evaluate(
        """async ([journal, looks, edgeMs]) => {
            const { visible } = await import("/drawing.js");
            return looks.map(([fromMs, toMs]) => visible(journal, fromMs, toMs, edgeMs));
        }""",
        [{"finals": finals, "open": started}, looks, edge_ms],
    )
    reaching = [
        (one["key"], one["startMs"], max(edge_ms, one["startMs"] + 8) if one["emotion"] else edge_ms)
        for one in started[-1:]
    ]
    waiting = [(one["key"], one["startMs"], behind["startMs"]) for one, behind in itertools.pairwise(started)]
    everything = [(one["key"], one["startMs"], one["endMs"]) for one in finals] + waiting + reaching
    for (from_ms, to_ms), found in zip(looks, seen, strict=True):
        assert [(one["key"], one["startMs"], one["endMs"]) for one in found] == [
            (key, start_ms, end_ms)
            for key, start_ms, end_ms in everything
            if start_ms <= to_ms and end_ms >= from_ms
        ]


async def test_an_utterance_that_began_is_seen_without_a_judgement(blank: Page) -> None:
    seen = await blank.evaluate(
        """async (journal) => (await import("/drawing.js")).visible(journal, 0, 9_000, 7_500)""",
        {"finals": [], "open": [{"key": "a/1", "startMs": 4_000, "emotion": None}]},
    )
    nothing = {"label": "", "confidence": 0, "text": "", "final": False}
    assert seen == [{"key": "a/1", "startMs": 4_000, "endMs": 7_500} | nothing]


async def wrapped(page: Page, text: str, room: int, most: int) -> list[str]:
    """By a pen whose letters are all one wide."""
    lines: list[str] = await page.evaluate(
        """async ([text, room, most]) => {
            const pen = { measureText: (line) => ({ width: line.length }) };
            return (await import("/drawing.js")).wrapped(pen, text, room, most);
        }""",
        [text, room, most],
    )
    return lines


@pytest.mark.parametrize("seed", range(4))
async def test_words_are_wrapped_and_what_is_too_much_ends_in_an_ellipsis(blank: Page, seed: int) -> None:
    rng = random.Random(seed)
    words = ["m" * rng.randrange(1, 9) for _ in range(rng.randrange(1, 30))]
    room = rng.randrange(10, 40)
    lines = textwrap.wrap(" ".join(words), room)
    assert await wrapped(blank, "  ".join(words), room, len(lines)) == lines
    few = await wrapped(blank, " ".join([*words, "and", "more"] * 5), room, 2)
    assert len(few) == 2
    assert few[1].endswith("…")
    assert max(map(len, few)) <= room


async def test_a_word_that_is_too_long_for_a_line_is_cut(blank: Page) -> None:
    assert await wrapped(blank, "incomprehensible words", 8, 2) == ["incompr…", "words"]
    assert await wrapped(blank, "", 8, 2) == []


async def test_a_pause_of_the_connection_is_no_time_of_the_source(blank: Page) -> None:
    edges = await blank.evaluate(
        """async () => {
            const { Journal } = await import("/journal.js");
            const { readEvent } = await import("/events.js");
            const journal = new Journal();
            journal.take(readEvent({ type: "ready", session: "a" }), null, 0);
            journal.start(0);
            journal.stop(1_000);
            const edges = [journal.edgeMs(61_000)];
            journal.start(61_000);
            edges.push(journal.edgeMs(61_000), journal.edgeMs(61_250));
            return edges;
        }"""
    )
    assert edges == [1_000, 1_000, 1_250]
