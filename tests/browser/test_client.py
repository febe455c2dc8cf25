"""`client.js`: a session from any page, whatever the network does; its types, its sound sources, its example.

Most of it runs in a world in which nothing happens by itself: a server as docs/protocol.md describes it, a
network that is cut where the test says so, and a clock that moves when there is nothing else to do.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import http.server
import json
import re
import shutil
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.protocol import messages
from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.fakes import FakeTranscriber
from tests.support.page_server import DEMO, PageServer
from tests.support.serving import SPEECH, serving, socket_url, stream
from tests.support.shared import REPO

EXAMPLE: Final = REPO / "examples" / "browser"
FAKE_MICROPHONE: Final = "--use-fake-device-for-media-stream"
PATIENCE_S: Final = 120  # a bound on hanging
LEAVE: Final = "--use-fake-ui-for-media-stream"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

WORLD: Final = """
const RATE = 8000; // sample frames a second, 8 a millisecond
const AHEAD_MS = 1000;

/** The same numbers for the same seed, in [0, 1). */
const dice = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

/** What a server keeps of a session. heard: samples, "gap 20", "flush", "stop", in order. */
class Session {
    fed = 0; acked = 0; gapMs = 0; heard = []; events = []; flushed = new Set(); over = false;
    constructor(name) { this.name = name; this.secret = `secret of ${name}`; }
    event(fields) { this.events.push({ ...fields, seq: this.events.length + 1 }); }
    get clockMs() { return this.fed / 8 + this.gapMs; }
}

class World {
    now = 0; timers = []; sockets = []; sessions = []; states = []; events = []; faults = [];
    acksAtOnce = true; // false: the session takes nothing until `take()`
    judgesEveryMs = 50; // of sound, one final
    messageBytes = 400;
    offline = false;
    refuses = null; // {code, error}
    cuts = []; // of each socket: how many messages get through
    ghosts = false; // what was on its way when the client saw the break may still arrive

    constructor(settings = {}) { Object.assign(this, settings); this.chance = dice(this.seed ?? 1); }

    get session() { return this.sessions.at(-1); }
    get socket() { return this.sockets.at(-1); }

    platform() {
        const world = this;
        return {
            WebSocket: class {
                constructor(url, protocol) {
                    Object.assign(this, { url, protocol, up: [], down: [], through: 0 });
                    Object.assign(this, { open: false, marks: [] });
                    world.sockets.push(this);
                    this.down.push(world.offline ? { close: 1006 } : { open: true });
                }
                send(data) { if (this.open) this.up.push(data); }
                close() { this.open = false; this.gone = true; }
            },
            setTimeout: (run, ms) => {
                const timer = { at: this.now + ms, run };
                this.timers.push(timer);
                return timer;
            },
            clearTimeout: (timer) => { this.timers = this.timers.filter((one) => one !== timer); },
            random: () => 1,
            now: () => this.now,
        };
    }

    client(settings = {}) {
        const client = new EmostreamClient({
            url: "ws://server/v1/stream", sampleRate: RATE, platform: this.platform(),
            onEvent: (event) => this.events.push(event),
            onState: (state) => { this.states.push(state); this.onState?.(state); },
            ...settings,
        });
        return client;
    }

    // What can happen next: something arrives, at either end.
    routes() {
        const up = (one) => one.up.length > 0 && (!one.gone || this.ghosts);
        const down = (one) => one.down.length > 0 && !one.gone;
        return [
            ...this.sockets.filter(up).map((socket) => () => this.arrivesAtServer(socket)),
            ...this.sockets.filter(down).map((socket) => () => this.arrivesAtClient(socket)),
        ];
    }

    /** Until nothing is on its way; then the next timer, as long as `goesOn` says so. */
    run(goesOn = () => false) {
        for (let steps = 0; steps < 100_000; steps++) {
            const routes = this.routes();
            if (routes.length > 0) routes[Math.floor(this.chance() * routes.length)]();
            else if (goesOn() && this.timers.length > 0) this.tick();
            else return;
        }
        this.faults.push("it never ends");
    }

    tick() {
        this.timers.sort((one, other) => one.at - other.at);
        const timer = this.timers.shift();
        this.now = Math.max(this.now, timer.at);
        timer.run();
    }

    through(socket) {
        socket.through++;
        if (socket.through === this.cuts[this.sockets.indexOf(socket)]) this.cut(socket);
    }

    cut(socket = this.socket, code = 1006) {
        if (socket.gone) return;
        socket.gone = true;
        if (!this.ghosts) socket.session = null;
        socket.onclose?.({ code });
    }

    arrivesAtClient(socket) {
        const { open, close, text } = socket.down.shift();
        if (open) { socket.open = true; socket.onopen?.(); }
        else if (close) this.cut(socket, close);
        else socket.onmessage?.({ data: text });
        if (text) this.through(socket);
    }

    arrivesAtServer(socket) {
        const data = socket.up.shift();
        if (typeof data === "string") this.hearText(socket, JSON.parse(data));
        else if (socket.session) this.hearSound(socket, data);
        if (!socket.gone) this.through(socket);
    }

    say(socket, message) { socket.down.push({ text: JSON.stringify(message) }); }
    hangUp(socket, code) { socket.down.push({ close: code }); }

    hearText(socket, message) {
        if (message.type === "start") return this.begin(socket, message);
        socket.marks.push(message.ms ? `gap ${message.ms}` : message.type);
        const session = socket.session;
        if (!session || session.over) return;
        if (message.type === "gap") {
            session.gapMs += message.ms;
            const last = session.heard.at(-1);
            if (String(last).startsWith("gap ")) session.heard.pop();
            const before = String(last).startsWith("gap ") ? Number(last.slice(4)) : 0;
            session.heard.push(`gap ${before + message.ms}`);
            session.event({ type: "dropped", ms: message.ms, why: "the client dropped it" });
        } else if (message.type === "flush") {
            if (message.at_samples !== session.fed && !session.flushed.has(message.at_samples)) {
                this.faults.push(`flush at ${message.at_samples} instead of ${session.fed}`);
            }
            if (!session.flushed.has(message.at_samples)) session.heard.push("flush");
            session.flushed.add(message.at_samples);
        } else if (message.type === "stop") {
            if (message.at_samples !== session.fed) this.faults.push(`stop at ${message.at_samples}`);
            session.heard.push("stop");
            this.end(session, "end_of_stream");
        }
        this.deliver(socket);
    }

    hearSound(socket, data) {
        const session = socket.session;
        if (session.over) return;
        if (data.length > this.messageBytes) this.faults.push(`a message of ${data.length} bytes`);
        if (session.fed - session.acked > AHEAD_MS * 8) this.faults.push("too far ahead");
        for (const sample of new Int16Array(data.slice().buffer)) {
            session.heard.push(sample);
            session.fed++;
            if (this.judgesEveryMs && session.fed % (this.judgesEveryMs * 8) === 0) this.judge(session);
        }
        if (this.acksAtOnce && session.fed - session.acked >= AHEAD_MS * 8 / 5) session.acked = session.fed;
        this.deliver(socket);
    }

    judge(session) {
        const utterance = session.events.filter(({ type }) => type === "emotion").length + 1;
        session.event({ type: "emotion", utterance, final: true, end_ms: session.clockMs, label: "sad" });
    }

    /** The session takes all that it has. */
    take() {
        this.session.acked = this.session.fed;
        for (const socket of this.sockets) if (socket.session === this.session) this.deliver(socket);
    }

    end(session, reason) {
        session.over = true;
        session.acked = session.fed;
        session.event({ type: "closed", reason, totals: { audio_ms: session.clockMs } });
    }

    begin(socket, { resume, ...fields }) {
        socket.start = resume ? { ...fields, resume } : fields;
        if (this.refuses) {
            const { code, error } = this.refuses;
            if (error) this.say(socket, { type: "error", seq: 0, fatal: true, message: "no", ...error });
            return this.hangUp(socket, code);
        }
        const asked = ({ name, secret }) => name === resume?.session && secret === resume?.secret;
        const found = this.sessions.find(asked);
        const session = found ?? new Session(`s${this.sessions.length + 1}`);
        if (!found) this.sessions.push(session);
        for (const other of this.sockets) if (other.session === session) other.session = null; // taken over
        Object.assign(socket, { session, seq: found ? resume.last_seq : 0, acked: 0 });
        this.say(socket, {
            type: "ready", session: session.name, secret: session.secret, resumed: Boolean(found),
            lost_from_seq: found || !resume ? null : resume.last_seq + 1,
            received_samples: session.fed, received_gap_ms: session.gapMs,
            limits: { message_bytes: this.messageBytes, max_unacked_ms: AHEAD_MS },
        });
        this.deliver(socket);
    }

    deliver(socket) {
        const session = socket.session;
        if (!session) return;
        if (socket.acked !== session.acked) {
            socket.acked = session.acked;
            this.say(socket, { type: "ack", received_samples: session.acked });
        }
        for (const event of session.events) {
            if (event.seq <= socket.seq) continue;
            socket.seq = event.seq;
            this.say(socket, event);
            if (event.type === "closed") this.hangUp(socket, event.reason === "shutting_down" ? 1001 : 1000);
        }
    }
}

/** Samples `first` to `last`, each with its own number. */
const count = (first, last) => Int16Array.from({ length: last - first + 1 }, (_, i) => first + i);
const live = (world) => world.states.at(-1).phase === "live";
const phases = (world) => world.states.map(({ phase }) => phase);
/** Runs of consecutive samples as [first, last]. */
const runs = (heard) => heard.reduce((found, one) => {
    const last = found.at(-1);
    if (typeof one !== "number") return [...found, one];
    if (Array.isArray(last) && last[1] + 1 === one) last[1] = one;
    else found.push([one, one]);
    return found;
}, []);
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blank() -> AsyncIterator[Page]:
    """A document of the page's origin, under its strict policy, in which nothing runs."""
    async with PageServer() as server, chromium() as found:
        page = await found.new_page()
        await page.goto(server.url + "style.css")
        yield page


async def play(page: Page, script: str, argument: Any = None) -> Any:
    """What the script returns; it may use the world, the client, and `given`."""
    import_all = "const { EmostreamClient, fullJitterMs, fileBlocks } = await import('/client.js');"
    async with asyncio.timeout(PATIENCE_S):
        return await page.evaluate(f"async (given) => {{ {import_all} {WORLD} {script} }}", argument)


# A session without trouble ------------------------------------------------------------------------


async def test_the_first_message_is_the_start_and_offers_version_1(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        world.client({
            url: "http://server:8765", encoding: "pcm_f32le", sampleRate: 48000, channels: 2, language: "en",
            token: "abc", options: { words: false },
        });
        world.run();
        const { url, protocol, start } = world.socket;
        return { url, protocol, start, phases: phases(world) };
        """,
    )
    assert told == {
        "url": "ws://server:8765/v1/stream",
        "protocol": "emostream.v1",
        "start": {
            "type": "start",
            "encoding": "pcm_f32le",
            "sample_rate": 48_000,
            "channels": 2,
            "language": "en",
            "token": "abc",
            "options": {"words": False},
        },
        "phases": ["connecting", "live"],
    }


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("{ encoding: 'mp3' }", "expected encoding to be pcm_s16le or pcm_f32le, got mp3"),
        ("{ sampleRate: 4000 }", "expected sampleRate to be a whole number of 8000 to 96000, got 4000"),
        ("{ channels: 9 }", "expected channels to be 1 to 8, got 9"),
        ("{ whenFull: 'burst' }", "expected whenFull to be drop or wait, got burst"),
        ("{ queueMs: 0 }", "expected queueMs to be at least 100, got 0"),
    ],
)
async def test_settings_that_cannot_be_are_refused_at_once(
    blank: Page, settings: str, complaint: str
) -> None:
    script = f"try {{ new World().client({settings}) }} catch (error) {{ return error.message }}"
    assert await play(blank, script) == complaint


async def test_sound_in_any_cut_arrives_as_it_was(blank: Page) -> None:
    """Bytes cut through sample frames, samples of another kind, blocks greater than a message."""
    heard = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0 });
        const client = world.client();
        const bytes = new Uint8Array(count(1, 1000).buffer);
        for (let first = 0; first < bytes.length; first += 333) client.send(bytes.slice(first, first + 333));
        client.send(count(1001, 1100));
        client.send(count(1101, 1200).buffer);
        client.send(new DataView(count(1201, 1300).buffer, 100 * 2 - 200, 200));
        client.send(Float32Array.from(count(1301, 1400), (x) => x / 32768));
        const reused = count(1401, 1500);
        client.send(reused);
        reused.fill(0);
        client.stop();
        world.run();
        return [runs(world.session.heard), world.faults, (await client.finished).phase];
        """,
    )
    assert heard == [[[1, 1500], "stop"], [], "ended"]


async def test_float_samples_are_cut_off_at_full_scale(blank: Page) -> None:
    heard = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0 });
        world.client().send(Float32Array.of(-2, -1, -0.5, 0, 0.5, 1, 2));
        world.run();
        return world.session.heard;
        """,
    )
    assert heard == [-32_768, -32_768, -16_384, 0, 16_384, 32_767, 32_767]


async def test_what_is_no_sound_is_refused(blank: Page) -> None:
    script = "try { new World().client().send('la la') } catch (error) { return error.message }"
    assert "got [object String]" in await play(blank, script)


async def test_nothing_is_taken_behind_the_stop_or_the_end(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        const complaint = (run) => { try { run(); } catch (error) { return error.message; } };
        client.stop();
        const behind = [complaint(() => client.send(count(1, 2))), complaint(() => client.gap(1))];
        world.run();
        await client.finished;
        client.stop();
        return [...behind, complaint(() => client.flush())];
        """,
    )
    assert told == [
        "expected nothing behind stop(), got more; begin another session",
        "expected nothing behind stop(), got more; begin another session",
        "expected a session that goes on, got one that is ended",
    ]


async def test_what_the_client_does_not_know_is_ignored(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        world.client();
        world.run();
        for (const data of ["{", "null", "[]", "7", '{"type": 7}', new ArrayBuffer(4)]) {
            world.socket.onmessage({ data });
        }
        world.say(world.socket, { type: "weather", seq: 1, rain: true });
        world.say(world.socket, { type: "weather", seq: 1, rain: false });
        world.say(world.socket, { type: "weather" });
        world.say(world.socket, { type: "ready", session: "another" });
        world.run();
        return [world.events, world.states.slice(1).map(({ ready }) => ready.session)];
        """,
    )
    assert told == [[{"type": "weather", "seq": 1, "rain": True}], ["s1"]]


# Credit -------------------------------------------------------------------------------------------


async def test_sound_waits_for_credit(blank: Page) -> None:
    """A session that takes nothing gets a second of sound, and past it what began before its end."""
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false });
        const client = world.client();
        client.send(count(1, 8 * 2500));
        world.run();
        const found = [[world.session.fed / 8, client.unacknowledgedMs, client.unsentMs]];
        world.take();
        world.run();
        found.push([world.session.fed / 8, client.unacknowledgedMs, client.unsentMs]);
        world.take();
        world.run();
        world.take();
        world.run();
        found.push([world.session.fed / 8, client.unacknowledgedMs, client.unsentMs]);
        return [found, world.faults];
        """,
    )
    assert told == [[[1000, 1000, 1500], [2000, 1000, 500], [2500, 0, 0]], []]


async def test_marks_wait_for_credit_too(blank: Page) -> None:
    """The server takes no more than 64 messages beside sound that its session has not seen."""
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        const story = Array.from({ length: 100 }, (_, i) => [1 + 40 * i, 40 * (i + 1)]);
        for (const [first, last] of story) { client.send(count(first, last)); client.flush(); }
        world.run();
        const before = world.session.heard.filter((one) => one === "flush").length;
        world.take();
        world.run();
        world.take();
        world.run();
        return [before, world.session.heard.filter((one) => one === "flush").length, world.faults];
        """,
    )
    assert told == [48, 100, []]


async def test_a_recording_waits_for_room_and_loses_nothing(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client({ whenFull: "wait", queueMs: 500 });
        let there = 0;
        const sending = (async () => {
            for (; there < 20; there++) await client.send(count(1 + 1600 * there, 1600 * (there + 1)));
            client.stop();
        })();
        const seen = [];
        const turn = () => new Promise((resolve) => setTimeout(resolve));
        while (!world.session?.over) {
            await turn(); world.run(); await turn();
            seen.push(client.unsentMs);
            if (seen.length === 2) {
                try { client.send(count(1, 2)); } catch (error) { seen.push(error.message); }
            }
            world.take();
        }
        await sending;
        const bounded = seen.filter(Number).every((ms) => ms < 700);
        return [runs(world.session.heard), bounded, seen[2], world.faults];
        """,
    )
    full = "expected the promise of the last send() to be awaited, got sound for a full queue"
    assert told == [[[1, 32_000], "stop"], True, full, []]


async def test_a_microphone_need_not_wait_and_nothing_piles_up(blank: Page) -> None:
    """Offline for long: as much sound as the queue holds, and one promise for whoever asks."""
    told = await play(
        blank,
        """
        const world = new World({ offline: true });
        const client = world.client({ queueMs: 1000 });
        world.run();
        const promises = new Set();
        for (let i = 0; i < 1000; i++) promises.add(client.send(count(1, 160)));
        return [promises.size, client.unsentMs];
        """,
    )
    assert told == [50, 1_000]


async def test_nobody_waits_for_room_in_a_session_that_is_over(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false });
        const client = world.client({ whenFull: "wait" });
        world.run();
        const waiting = client.send(count(1, 8 * 20000)).then(() => "went on");
        client.close();
        return [await waiting, await client.finished];
        """,
    )
    assert told == ["went on", {"phase": "closed", "unheardMs": 20_000}]


# Sound that is too much ---------------------------------------------------------------------------


async def test_a_microphone_that_outruns_the_server_loses_its_oldest_sound_and_says_so(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client({ queueMs: 1000 });
        world.run();
        for (let i = 0; i < 200; i++) { client.send(count(1 + 160 * i, 160 * (i + 1))); world.run(); }
        const waiting = client.unsentMs;
        world.acksAtOnce = true;
        world.take();
        client.stop();
        world.run();
        return [waiting, runs(world.session.heard), world.session.clockMs, world.events.at(-2), world.faults];
        """,
    )
    # Four seconds: the first had credit, the last waited, and the two between them had to go.
    dropped = {"type": "dropped", "ms": 2_000, "why": "the client dropped it", "seq": 1}
    assert told[:3] == [1_000, [[1, 8_000], "gap 2000", [24_001, 32_000], "stop"], 4_000]
    assert told[3:] == [dropped, []]


async def test_losses_between_marks_are_in_their_place(blank: Page) -> None:
    """Offline, with a caller's gap and flushes among what has to go: the utterance still ends where it
    did.
    """
    told = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0, offline: true });
        const client = world.client({ queueMs: 1000 });
        client.send(count(1, 800));
        client.gap(50);
        client.flush();
        for (let i = 1; i < 40; i++) {
            client.send(count(1 + 800 * i, 800 * (i + 1)));
            if (i < 30) client.flush();
        }
        world.run();
        world.offline = false;
        client.stop();
        world.run(() => !world.session?.over);
        return [runs(world.session.heard), world.session.clockMs, world.socket.marks, world.faults];
        """,
    )
    marks = ["gap 150", "flush", "gap 2900", "stop"]
    assert told == [[*marks[:3], [24_001, 32_000], "stop"], 4_050, marks, []]


async def test_what_would_change_nothing_is_not_said(blank: Page) -> None:
    """A second flush at the same place; a second gap where the first one is still here."""
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        client.gap(5);
        client.gap(6);
        client.flush();
        client.flush();
        client.gap(7);
        client.flush();
        world.run();
        client.gap(8);
        client.gap(9);
        world.run();
        return world.socket.marks;
        """,
    )
    assert told == ["gap 11", "flush", "gap 7", "gap 8", "gap 9"]


async def test_gaps_of_fractions_of_a_millisecond_add_up(blank: Page) -> None:
    """Blocks of 128 frames at 44.1 kHz last 2.9 ms each: a minute of them is a minute."""
    told = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0 });
        const client = world.client({ sampleRate: 44100 });
        for (let i = 0; i < 44100 * 60 / 126; i++) {
            client.gap(126 / 44.1);
            if (i % 7 === 0) client.send(count(1, 1));
        }
        world.run();
        return [world.session.gapMs, world.faults];
        """,
    )
    assert 59_999 <= told[0] <= 60_000
    assert told[1] == []


@pytest.mark.parametrize("ms", ["0", "-5", "NaN", "Infinity"])
async def test_a_gap_that_is_none_is_refused(blank: Page, ms: str) -> None:
    script = f"try {{ new World().client().gap({ms}) }} catch (error) {{ return error.message }}"
    assert await play(blank, script) == f"expected gap to be milliseconds above 0, got {ms}"


async def test_a_gap_of_days_is_said_in_several(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        world.client().gap(3 * 24 * 3600000 + 0.5);
        world.run();
        return world.events.map(({ ms }) => ms / 3600000);
        """,
    )
    assert told == [24, 24, 24]


# Breaks -------------------------------------------------------------------------------------------

STORY: Final = """
/** Sound, gaps and flushes, in no even cut; and what a server must hear of it. */
const story = (chance) => {
    const steps = [], heard = [];
    let at = 0;
    for (let i = 0; i < 60; i++) {
        const length = 40 + Math.floor(chance() * 600), first = at + 1;
        at += length;
        steps.push((client) => client.send(count(first, first + length - 1)));
        heard.push([first, at]);
        const gap = (ms) => { steps.push((client) => client.gap(ms)); heard.push(ms); };
        if (chance() < 0.25) gap(1 + Math.floor(chance() * 90));
        if (chance() < 0.25) { steps.push((client) => client.flush()); heard.push("flush"); }
        if (chance() < 0.15) gap(7);
    }
    steps.push((client) => client.stop());
    const expected = [];
    for (const one of [...heard, "stop"]) {
        const last = expected.at(-1);
        if (Array.isArray(one) && Array.isArray(last)) last[1] = one[1];
        else if (typeof one !== "number") expected.push(one);
        else if (String(last).startsWith("gap ")) expected.push(`gap ${Number(expected.pop().slice(4)) +
        one}`); else expected.push(`gap ${one}`);
    }
    return { steps, expected };
};

/** Play it: things arrive, the caller goes on, time passes, as chance will have it. */
const tell = ({ seed, cuts, ghosts }) => {
    const chance = dice(seed);
    const { steps, expected } = story(chance);
    const world = new World({ seed, cuts, ghosts });
    const client = world.client();
    for (let i = 0; !world.states.some(({ phase }) => phase === "ended") && i < 10_000; i++) {
        const routes = world.routes();
        const choices = [
            ...(routes.length ? Array(6).fill(() => routes[Math.floor(chance() * routes.length)]()) : []),
            ...(steps.length ? [() => steps.shift()(client)] : []),
            ...(routes.length === 0 && world.timers.length > 0 ? [() => world.tick()] : []),
        ];
        if (choices.length === 0) break;
        choices[Math.floor(chance() * choices.length)]();
    }
    const complaints = [...world.faults];
    const same = (name, got, wanted) => {
        if (JSON.stringify(got) !== JSON.stringify(wanted)) complaints.push({ name, got, wanted });
    };
    // Cut before the first `ready` nobody knows of the session that it was for: it heard nothing.
    same("idle sessions", world.sessions.slice(0, -1).flatMap(({ heard }) => heard), []);
    same("heard", runs(world.session?.heard ?? []), expected);
    same("events", world.events, world.session?.events);
    same("end", world.states.at(-1).phase, "ended");
    same("left", [client.unsentMs, client.unacknowledgedMs], [0, 0]);
    return { complaints, messages: world.sockets[0].through, sockets: world.sockets.length };
};
"""


@pytest.mark.parametrize("ghosts", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_cut_behind_every_message_the_session_is_that_of_the_uncut_run(
    blank: Page, seed: int, ghosts: bool
) -> None:
    """Every sample, gap and flush once and in its place, every event once and in order. ghosts: what the
    client had sent before the break may still arrive behind it.
    """
    told = await play(
        blank,
        STORY
        + """
        const uncut = tell({ ...given, cuts: [] });
        const broken = [];
        for (let cut = 1; cut <= uncut.messages; cut++) {
            const { complaints, sockets } = tell({ ...given, cuts: [cut] });
            if (complaints.length > 0 || sockets > 2) broken.push({ cut, complaints, sockets });
        }
        return { uncut, broken: broken.slice(0, 3) };
        """,
        {"seed": seed, "ghosts": ghosts},
    )
    assert told["uncut"]["complaints"] == []
    assert told["uncut"]["sockets"] == 1
    assert told["uncut"]["messages"] > 100
    assert told["broken"] == []


@pytest.mark.parametrize("ghosts", [False, True])
async def test_cut_as_often_as_you_like_the_session_is_that_of_the_uncut_run(
    blank: Page, ghosts: bool
) -> None:
    told = await play(
        blank,
        STORY
        + """
        const broken = [];
        let sockets = 0;
        for (let seed = 100; seed < 500; seed++) {
            const chance = dice(seed);
            const cuts = Array.from({ length: 12 }, () => 1 + Math.floor(chance() * 40));
            const one = tell({ seed, cuts, ghosts: given.ghosts });
            sockets += one.sockets;
            if (one.complaints.length > 0) broken.push({ seed, complaints: one.complaints });
        }
        return { broken: broken.slice(0, 3), sockets };
        """,
        {"ghosts": ghosts},
    )
    assert told["broken"] == []
    assert told["sockets"] > 2_000


async def test_what_is_acknowledged_is_not_kept(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 4000));
        world.run();
        world.session.acked = 2500;
        world.deliver(world.socket);
        world.run();
        const kept = client.unacknowledgedMs;
        // Nobody knows this session any more: what comes again is all that is held.
        world.sessions[0].secret = "another";
        world.cut();
        world.run(() => !live(world));
        return [kept, runs(world.session.heard)];
        """,
    )
    assert told == [187.5, [[2501, 4000]]]


async def test_a_resume_brings_the_name_the_secret_and_the_last_seq(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client({ token: "abc" });
        client.send(count(1, 1200));
        world.run();
        world.cut();
        world.run(() => !live(world));
        return [world.socket.start, phases(world), world.states.at(-1).startMs];
        """,
    )
    assert told[0]["resume"] == {"session": "s1", "resume_token": "secret of s1", "last_seq": 3}
    assert told[0]["token"] == "abc"
    assert told[1:] == [["connecting", "live", "reconnecting", "connecting", "live"], 0]


async def test_events_that_the_server_no_longer_has_are_told(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        world.run();
        world.cut();
        world.say = (socket, message) => World.prototype.say.call(
            world, socket, message.type === "ready" ? { ...message, lost_from_seq: 1 } : message);
        world.run(() => !live(world));
        return world.states.find(({ phase }) => phase === "lost");
        """,
    )
    assert told == {"phase": "lost", "session": "s1", "lostFromSeq": 1, "lostAudioMs": 0}


async def test_a_session_that_is_gone_is_told_and_another_goes_on_with_what_is_held(blank: Page) -> None:
    """Two seconds were sent, 1400 ms acknowledged, finals came up to 1000 ms: 400 ms are lost, the rest
    is heard again, behind the flush that lies there.
    """
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 8000));
        world.run();
        world.judge(world.session);
        world.take();
        world.run();
        client.send(count(8001, 11200));
        world.run();
        world.take();
        client.send(count(11201, 14400));
        client.flush();
        client.send(count(14401, 16000));
        world.run();
        world.sessions[0].secret = "another";
        world.cut();
        client.send(count(16001, 16800));
        world.run(() => !live(world));
        client.stop();
        world.run();
        const lost = world.states.find(({ phase }) => phase === "lost");
        return [lost, world.states.filter(({ phase }) => phase === "live").map(({ startMs }) => startMs),
            runs(world.session.heard), world.events.map(({ type, seq }) => [type, seq]), client.unsentMs,
            world.faults];
        """,
    )
    assert told == [
        {"phase": "lost", "session": "s1", "lostFromSeq": 2, "lostAudioMs": 400},
        [0, 1400],
        [[11_201, 14_400], "flush", [14_401, 16_800], "stop"],
        [["emotion", 1], ["closed", 1]],
        0,
        [],
    ]


async def test_another_session_does_not_hear_what_a_final_has_covered(blank: Page) -> None:
    """Judged up to 1150 ms, acknowledged up to nothing: the rest begins there, 50 ms into the gap's end."""
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 4000));
        client.gap(600);
        client.flush();
        client.send(count(4001, 7000));
        world.run();
        world.session.event({ type: "emotion", utterance: 1, final: true, end_ms: 1150 });
        world.deliver(world.socket);
        world.run();
        world.sessions[0].secret = "another";
        world.cut();
        world.run(() => !live(world));
        const lost = world.states.find(({ phase }) => phase === "lost");
        return [lost.lostAudioMs, world.states.at(-1).startMs, runs(world.session.heard)];
        """,
    )
    assert told == [0, 1150, [[4401, 7000]]]


async def test_where_another_session_begins_counts_the_gaps_before_it(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 800));
        client.gap(250);
        client.send(count(801, 1600));
        world.run();
        world.take();
        world.run();
        world.sessions[0].secret = "another";
        world.cut();
        world.run(() => !live(world));
        return [world.states.find(({ phase }) => phase === "lost").lostAudioMs, world.states.at(-1).startMs];
        """,
    )
    assert told == [450, 450]


async def test_a_session_that_is_gone_behind_the_stop_is_ended_all_the_same(blank: Page) -> None:
    """A final may cover more than was sent: the last frame is filled up. The stop is for the next one."""
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 800));
        world.run();
        world.session.event({ type: "emotion", utterance: 1, final: true, end_ms: 120 });
        world.deliver(world.socket);
        world.run();
        world.sessions[0].secret = "another";
        client.stop();
        world.cut();
        world.run(() => world.sockets.length < 2);
        world.run();
        return [runs(world.session.heard), (await client.finished).phase];
        """,
    )
    assert told == [["stop"], "ended"]


async def test_gaps_of_which_some_have_arrived_are_gone_on_with(blank: Page) -> None:
    """A muted microphone tells each block that is missing. The break comes between two of them."""
    told = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0, acksAtOnce: false });
        const client = world.client();
        client.send(count(1, 80));
        world.run();
        for (let i = 0; i < 100; i++) { client.gap(20); if (i === 59) world.run(); }
        world.cut();
        client.gap(20);
        client.send(count(81, 160));
        world.run(() => !live(world));
        world.take();
        world.run();
        world.sessions[0].secret = "another";
        world.cut();
        const again = runs(world.session.heard);
        world.run(() => !live(world));
        return [again, world.socket.marks, world.states.at(-1).startMs];
        """,
    )
    assert told == [[[1, 80], "gap 2020", [81, 160]], [], 2_040]


async def test_a_gap_that_did_not_arrive_is_one_with_what_is_dropped_behind_it(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ judgesEveryMs: 0 });
        const client = world.client();
        world.run();
        client.gap(10);
        world.cut();
        world.onState = ({ phase }) => { if (phase === "live") client.gap(5); };
        world.run(() => !live(world));
        return world.socket.marks;
        """,
    )
    assert told == ["gap 15"]


async def test_a_message_of_which_the_server_has_the_head_only_is_gone_on_with(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        world.client().send(count(1, 800));
        world.run();
        world.session.heard.length = world.session.fed = 130;
        world.cut();
        world.run(() => !live(world));
        return runs(world.session.heard);
        """,
    )
    assert told == [[1, 800]]


async def test_a_server_that_restarts_in_good_order_loses_nothing(blank: Page) -> None:
    """It said `closed`, and with it all that it knew: what it did not take is for the next one."""
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false, judgesEveryMs: 0 });
        const client = world.client();
        client.send(count(1, 1600));
        world.run();
        world.end(world.session, "shutting_down");
        client.send(count(1601, 2400)); // comes too late
        world.deliver(world.socket);
        world.run();
        world.run(() => !live(world));
        client.stop();
        world.run();
        return [phases(world), world.socket.start.resume ?? null, runs(world.session.heard),
            world.states.filter(({ phase }) => phase === "live").map(({ startMs }) => startMs)];
        """,
    )
    phases = ["connecting", "live", "reconnecting", "connecting", "live", "ended"]
    assert told == [phases, None, [[1601, 2400], "stop"], [0, 200]]


async def test_a_server_that_shuts_down_behind_the_last_sound_is_not_waited_for(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ acksAtOnce: false });
        const client = world.client();
        client.send(count(1, 1600));
        world.run();
        world.end(world.session, "shutting_down");
        client.stop();
        world.deliver(world.socket);
        world.run();
        const { phase, reason, code, unheardMs } = await client.finished;
        return { phase, reason, code, unheardMs };
        """,
    )
    assert told == {"phase": "ended", "reason": "shutting_down", "code": 1001, "unheardMs": 0}


async def test_a_session_that_broke_the_server_is_not_taken_up_again(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        world.run();
        world.say(world.socket, { type: "error", seq: 0, code: "internal", message: "oh", fatal: true });
        world.hangUp(world.socket, 1011);
        world.run(() => world.sockets.length < 2);
        world.run();
        const lost = world.states.find(({ phase }) => phase === "lost");
        return [world.socket.start.resume ?? null, lost, world.states[2].why];
        """,
    )
    assert told == [None, {"phase": "lost", "session": "s1", "lostFromSeq": 1, "lostAudioMs": 0}, "oh"]


@pytest.mark.parametrize(
    ("silence", "after_ms", "why"),
    [
        ("world.socket.down.length = 0;", 10_000, "the server does not answer"),
        ("client.send(count(1, 12000)); world.run();", 20_000, "the server has gone silent"),
        (
            "world.run(); client.stop(); world.socket.up.length = 0; world.run();",
            20_000,
            "the server has gone silent",
        ),
    ],
    ids=["instead of ready", "where credit is used up", "behind the stop"],
)
async def test_a_server_that_owes_an_answer_and_is_silent_is_left(
    blank: Page, silence: str, after_ms: int, why: str
) -> None:
    told = await play(
        blank,
        f"""
        const world = new World({{ acksAtOnce: false, judgesEveryMs: 0 }});
        const client = world.client();
        {silence}
        world.tick();
        const {{ phase, why }} = world.states.at(-1);
        const [left] = world.sockets;
        const found = [world.now, phase, why, left.gone ?? false];
        world.onState = (state) => {{ if (state.phase === "live") found.push(left.gone); }};
        world.run(() => found.length < 5);
        if (!world.session.over) world.take();
        world.run();
        client.stop();
        world.run();
        return [...found, (await client.finished).phase];
        """,
    )
    assert told == [after_ms, "reconnecting", why, False, True, "ended"]


async def test_a_server_that_says_closed_and_does_not_close_is_not_waited_for(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        world.hangUp = () => {};
        client.stop();
        world.run();
        world.tick();
        return [world.now, (await client.finished).phase, world.socket.gone];
        """,
    )
    assert told == [10_000, "ended", True]


async def test_quiet_without_sound_to_answer_for_is_no_silence(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client();
        client.send(count(1, 400));
        world.run();
        return world.timers.length;
        """,
    )
    assert told == 0


# When to come again, and when not -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "chance", "expected_ms"),
    [(0, 0.0, 0), (0, 1.0, 500), (1, 0.5, 500), (4, 1.0, 8_000), (5, 1.0, 15_000), (999, 0.5, 7_500)],
)
async def test_the_wait_is_anything_up_to_a_limit_that_doubles(
    blank: Page, attempt: int, chance: float, expected_ms: int
) -> None:
    assert await play(blank, "return fullJitterMs(...given)", [attempt, chance]) == expected_ms


async def test_a_connection_that_dies_at_once_is_not_hammered_and_one_that_lasted_starts_afresh(
    blank: Page,
) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        world.client();
        for (const lived of [0, 0, 0, 60000, 0]) {
            world.run(() => !live(world));
            world.now += lived;
            world.cut();
        }
        return world.states.filter(({ phase }) => phase === "reconnecting").map(({ delayMs }) => delayMs);
        """,
    )
    assert told == [500, 1000, 2000, 500, 1000]


@pytest.mark.parametrize("code", ["overloaded", "too_many_attempts"])
async def test_the_server_says_when_to_come_again(blank: Page, code: str) -> None:
    told = await play(
        blank,
        """
        const world = new World({ refuses: { code: 1013, error: { code: given, retry_after_ms: 5000 } } });
        world.client();
        world.run();
        const { delayMs, error } = world.states.at(-1);
        world.refuses = null;
        world.run(() => !live(world));
        const found = [delayMs, world.now, error.code, phases(world), world.events];
        world.cut(); // a break of another kind
        return [...found, world.states.at(-1).error, world.states.at(-1).delayMs];
        """,
        code,
    )
    assert told == [5_500, 5_500, code, ["connecting", "reconnecting", "connecting", "live"], [], None, 1_000]


@pytest.mark.parametrize(
    ("close_code", "code"),
    [
        (4400, "bad_start"),
        (4401, "unauthorized"),
        (4403, "origin_not_allowed"),
        (4409, "session_superseded"),
        (4410, "session_too_long"),
        (1009, None),
    ],
)
async def test_what_cannot_help_is_not_tried_again(blank: Page, close_code: int, code: str | None) -> None:
    told = await play(
        blank,
        """
        const [close_code, code] = given;
        const world = new World();
        const client = world.client({ queueMs: 5000 });
        client.send(count(1, 24000));
        world.acksAtOnce = false;
        world.run();
        if (code) world.say(world.socket, { type: "error", seq: 0, code, message: "no", fatal: true });
        world.hangUp(world.socket, close_code);
        world.run();
        client.retryNow();
        const { phase, code: closed, error, why, unheardMs } = await client.finished;
        const tries = world.sockets.length + world.timers.length;
        return [tries, phase, closed, error?.code ?? null, why, unheardMs];
        """,
        [close_code, code],
    )
    assert told == [1, "refused", close_code, code, "no" if code else "", 3_000]


@pytest.mark.parametrize(
    ("close_code", "code"),
    [
        (4408, "idle_too_long"),
        (4410, "session_too_long"),
        (4429, "flow_control_exceeded"),
        (1011, "internal"),
    ],
)
async def test_a_session_that_the_server_ended_says_why(blank: Page, close_code: int, code: str) -> None:
    """The error has a place in the session then: it is an event, and in the last state."""
    told = await play(
        blank,
        """
        const [close_code, code] = given;
        const world = new World();
        const client = world.client();
        world.run();
        world.session.event({ type: "error", code, message: "no", fatal: true });
        world.end(world.session, "error");
        world.hangUp = (socket) => World.prototype.hangUp.call(world, socket, close_code);
        world.deliver(world.socket);
        world.run();
        const { phase, reason, error } = await client.finished;
        return [phase, reason, error.code, world.events.map(({ type }) => type), world.timers.length];
        """,
        [close_code, code],
    )
    assert told == ["ended", "error", code, ["error", "closed"], 0]


async def test_whoever_knows_better_does_not_wait(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World({ offline: true });
        const client = world.client();
        world.run();
        world.offline = false;
        client.retryNow();
        client.retryNow();
        world.run();
        return [world.now, world.sockets.length, live(world), world.timers.length];
        """,
    )
    assert told == [0, 2, True, 0]


async def test_a_closed_client_says_nothing_more(blank: Page) -> None:
    told = await play(
        blank,
        """
        const world = new World();
        const client = world.client({ onEvent: (event) => { world.events.push(event); client.close(); } });
        client.send(count(1, 4000));
        world.run();
        client.close();
        world.run(() => true);
        return [world.events.length, phases(world), world.timers.length, (await client.finished).phase];
        """,
    )
    assert told == [1, ["connecting", "live", "closed"], 0, "closed"]


# Against the real server --------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example as main.js tells to serve it: a folder, any static server. Its origin."""
    folder = tmp_path_factory.mktemp("site") / "page"
    shutil.copytree(EXAMPLE, folder)
    for name in ("client.js", "worklet.js", "recording.ogg"):
        shutil.copy(DEMO / name, folder)
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def told_of(event: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the clock on the wall."""
    return {name: value for name, value in event.items() if name != "timing"}


def finals(seen: list[messages.ServerEvent]) -> list[dict[str, Any]]:
    return [
        told_of(json.loads(messages.encode(one)))
        for one in seen
        if isinstance(one, messages.Emotion) and one.final
    ]


class BrittleWire:
    """Between the browser and a server: each connection breaks, without a word, behind so many bytes."""

    def __init__(self, port: int, lives: list[int]) -> None:
        self._port = port
        self._lives = lives
        self.broken = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as listener:
            yield f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/stream"

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        left = self._lives.pop(0) if self._lives else None

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal left
            while left != 0 and (data := await source.read(4_096)):
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                target.write(data)
                await target.drain()

        ways = [asyncio.create_task(forward(reader, back)), asyncio.create_task(forward(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        self.broken += left == 0
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, back):
            end.transport.abort()


@pytest.mark.parametrize("seed", [1, 2])
async def test_cut_again_and_again_the_real_server_says_what_it_says_of_the_uncut_stream(
    site: str, seed: int
) -> None:
    pcm = base64.b64encode(encode_pcm(SPEECH, "pcm_f32le")).decode()
    lives = np.random.default_rng(seed).integers(300, 30_000, 12).tolist()
    async with (
        serving(transcriber=FakeTranscriber(), allow_origins=(site,)) as server,
        chromium() as found,
        asyncio.timeout(PATIENCE_S),
    ):
        uncut = finals(await stream(server, SPEECH))
        wire = BrittleWire(server.port, lives)
        page = await found.new_page()
        await page.goto(site)
        async with wire.laid() as url:
            told = await page.evaluate(
                """async ({ url, pcm }) => {
                    const { EmostreamClient } = await import("/client.js");
                    const bytes = Uint8Array.from(atob(pcm), (one) => one.charCodeAt(0));
                    const events = [];
                    const client = new EmostreamClient({
                        url, encoding: "pcm_f32le", sampleRate: 16000, whenFull: "wait",
                        onEvent: (event) => events.push(event),
                        platform: {
                            WebSocket,
                            random: () => 0,
                            now: () => performance.now(),
                            setTimeout: (run, ms) => setTimeout(run, ms),
                            clearTimeout: (one) => clearTimeout(one),
                        },
                    });
                    for (let first = 0; first < bytes.length; first += 9999) {
                        await client.send(bytes.subarray(first, first + 9999));
                    }
                    client.stop();
                    const { phase, code, reason, unheardMs } = await client.finished;
                    return { events, last: { phase, code, reason, unheardMs } };
                }""",
                {"url": url, "pcm": pcm},
            )
    seqs = [event["seq"] for event in told["events"]]
    assert seqs == list(range(1, len(seqs) + 1))
    again = [told_of(event) for event in told["events"] if event["type"] == "emotion" and event["final"]]
    assert len(again) == 2
    assert [one | {"seq": 0} for one in again] == [one | {"seq": 0} for one in uncut]
    assert told["last"] == {"phase": "ended", "code": 1000, "reason": "end_of_stream", "unheardMs": 0}
    assert wire.broken >= 6


def write_wave(path: Path) -> None:
    sound = np.repeat(SPEECH, 3)  # 48 kHz, as the browser's fake microphone plays it
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(encode_pcm(sound, "pcm_s16le"))


async def test_the_example_shows_a_line_for_what_the_microphone_heard(site: str, tmp_path: Path) -> None:
    write_wave(tmp_path / "speech.wav")
    microphone = f"--use-file-for-fake-audio-capture={tmp_path / 'speech.wav'}"
    async with (
        serving(transcriber=FakeTranscriber(), allow_origins=(site,)) as server,
        chromium(FAKE_MICROPHONE, LEAVE, microphone) as found,
    ):
        watched = Watched(await found.new_page())
        await watched.page.goto(site)
        await watched.page.get_by_label("Server").fill(socket_url(server))
        await watched.page.get_by_role("button", name="Start the microphone").click()
        row = watched.page.get_by_role("listitem").first
        await expect(row).to_have_text(re.compile(r"^(angry|happy|sad|neutral)70 %\d+ milliseconds$"))
        await watched.page.get_by_role("button", name="Stop").click()
        await expect(watched.page.get_by_role("status")).to_contain_text("Ended: ")
        await expect(watched.page.get_by_role("button", name="Start the microphone")).to_be_enabled()
        assert watched.complaints == []


async def test_the_example_says_why_it_is_refused_and_lets_go_of_the_microphone(site: str) -> None:
    async with serving() as server, chromium(FAKE_MICROPHONE, LEAVE) as found:
        page = await found.new_page()
        await page.goto(site)
        await page.get_by_label("Server").fill(socket_url(server))
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(page.get_by_role("status")).to_contain_text("--allow-origin to let it in")
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()


# Where sound comes from ---------------------------------------------------------------------------

ASK = """async (settings) => {
    const { microphone } = await import("/client.js");
    try {
        const sound = await microphone(settings ?? {});
        sound.stop();
        return "a microphone";
    } catch (error) {
        return [error.name, error.code, error.message];
    }
}"""


async def test_a_refused_microphone_is_said_in_words(site: str) -> None:
    async with chromium(FAKE_MICROPHONE) as found:
        page = await found.new_page()
        await page.goto(site)
        refused = "expected leave to listen, got none; allow this page the microphone in the browser"
        assert await page.evaluate(ASK) == ["MicrophoneError", "refused", refused]


async def test_a_microphone_that_is_not_there_is_said_in_words(site: str) -> None:
    async with chromium(FAKE_MICROPHONE, LEAVE) as found:
        page = await found.new_page()
        await page.goto(site)
        missing = "expected a microphone, found none; connect one, or choose another"
        assert await page.evaluate(ASK, {"deviceId": "gone"}) == ["MicrophoneError", "missing", missing]


async def test_a_page_that_is_not_safe_gets_no_microphone(site: str) -> None:
    async with chromium(
        FAKE_MICROPHONE, LEAVE, "--host-resolver-rules=MAP studio.example 127.0.0.1"
    ) as found:
        page = await found.new_page()
        await page.goto(site.replace("localhost", "studio.example"))
        name, code, message = await page.evaluate(ASK)
    assert (name, code) == ("MicrophoneError", "insecure")
    assert message.startswith("expected a page over https or from localhost")


async def test_the_microphone_gives_mono_blocks_until_it_is_stopped_or_aborted(site: str) -> None:
    async with chromium(FAKE_MICROPHONE, LEAVE) as found:
        page = await found.new_page()
        await page.goto(site)
        told = await page.evaluate(
            """async () => {
                const { microphone } = await import("/client.js");
                const lengths = [];
                const sound = await microphone();
                for await (const block of sound) {
                    lengths.push([block.constructor.name, block.length * 1000 / sound.sampleRate]);
                    if (lengths.length === 3) sound.stop();
                    if (lengths.length === 20) break;
                }
                const aborting = new AbortController();
                const other = await microphone({ signal: aborting.signal });
                let others = 0;
                for await (const _ of other) if (++others === 2) aborting.abort();
                const third = await microphone();
                for await (const _ of third) break;
                const again = await third[Symbol.asyncIterator]().next();
                const late = await microphone({ signal: aborting.signal }).catch((error) => error.name);
                return [lengths.slice(0, 3), lengths.length < 20, others < 20, again.done, late];
            }"""
        )
    assert told == [[["Float32Array", 20]] * 3, True, True, True, "AbortError"]


async def test_a_recording_comes_as_mono_blocks(blank: Page) -> None:
    """The bundled one, decoded and resampled by the browser."""
    told = await play(
        blank,
        """
        const file = await (await fetch("/recording.ogg")).blob();
        const lengths = [];
        for await (const block of fileBlocks(file, { pace: Infinity })) lengths.push(block.length);
        const total = lengths.reduce((sum, one) => sum + one, 0);
        return [lengths.slice(0, -1).every((length) => length === 1600), total / 16000];
        """,
    )
    assert told[0] is True
    assert told[1] == pytest.approx(len(decode_file(DEMO / "recording.ogg")) / 16_000, abs=0.1)


async def test_a_paced_recording_keeps_to_the_clock_and_does_not_drift(blank: Page) -> None:
    """A reader that is slow once is not slow for ever; a timer that is late neither."""
    told = await play(
        blank,
        """
        const file = await (await fetch("/recording.ogg")).blob();
        let now = 0;
        const platform = { now: () => now, setTimeout: (run, ms) => { now += ms + 3; queueMicrotask(run); } };
        const came = [];
        for await (const _ of fileBlocks(file, { pace: 2, platform })) {
            came.push(now);
            if (came.length === 4) now += 120;
            if (came.length === 8) break;
        }
        return came;
        """,
    )
    assert told == [53, 103, 153, 203, 323, 323, 353, 403]


async def test_what_is_no_recording_is_said_in_words(blank: Page) -> None:
    told = await play(
        blank,
        """
        const file = new File(["la la la"], "song.txt");
        return await fileBlocks(file).next().catch((error) => error.message);
        """,
    )
    assert told == "expected a recording that this browser can decode, got song.txt"


# Types --------------------------------------------------------------------------------------------

TYPES: Final = (DEMO / "client.d.ts").read_text(encoding="utf-8")


def declared(name: str) -> dict[str, bool]:
    """The fields of an interface, and whether each may be left out."""
    match = re.search(rf"^export interface {name} \{{\n(.*?)^\}}", TYPES, re.M | re.S)
    assert match is not None, name
    return {field: bool(mark) for field, mark in re.findall(r"^  (\w+)(\??):", match[1], re.M)}


async def test_the_types_are_those_of_the_schema() -> None:
    schema = messages.schema()["$defs"]
    unions = ("ClientMessage", "ServerMessage")
    for name in schema.keys() - set(unions):
        own = declared("ServerError" if name == "Error" else name)
        assert own.keys() == schema[name]["properties"].keys(), name
        if name in ("Start", "Resume", "Options", "Watch", "Gap", "Flush", "Stop"):
            assert {field for field, optional in own.items() if not optional} == set(
                schema[name].get("required", ())
            )
        else:
            assert not any(own.values()), name  # a server says every field


async def test_the_types_know_every_error_code_of_the_protocol() -> None:
    chapter = (REPO / "docs" / "protocol.md").read_text(encoding="utf-8").split("## Error codes")[1]
    table = chapter.split("\n## ")[0]
    codes = {
        code for row in re.findall(r"^\| [^|]+ \| ([^|]*) \|", table, re.M) for code in row.split("`")[1::2]
    }
    match = re.search(r"^export type ErrorCode =\n(.*?);", TYPES, re.M | re.S)
    assert match is not None
    assert set(re.findall(r'"(\w+)"', match[1])) == codes


async def test_the_types_declare_what_the_module_exports(blank: Page) -> None:
    exported = await blank.evaluate("async () => Object.keys(await import('/client.js'))")
    declared = re.findall(r"^export (?:class|const|function) (\w+)", TYPES, re.M)
    assert sorted(exported) == sorted(declared)


PROGRAM: Final = """
import { EmostreamClient, MicrophoneError, fileBlocks, microphone } from "./client.js";
import type { ClientState, Emotion, ServerEvent } from "./client.js";

const finals: Emotion[] = [];
const onEvent = (event: ServerEvent): void => {
  if (event.type === "emotion" && event.final) finals.push(event);
  if (event.type === "error" && event.code === "analysis_failed") console.log(event.utterance);
};
const onState = (state: ClientState): number | null => {
  switch (state.phase) {
    case "live": return state.ready.limits.max_unacked_ms + state.startMs;
    case "lost": return state.lostAudioMs;
    case "reconnecting": return state.delayMs;
    case "ended": return state.totals.audio_ms;
    case "refused": case "closed": return state.unheardMs;
    case "connecting": return state.attempt;
  }
};

export async function main(file: File): Promise<string> {
  const sound = await microphone({ deviceId: "x", signal: new AbortController().signal });
  const client = new EmostreamClient({ url: "ws://x", sampleRate: sound.sampleRate, onEvent, onState });
  for await (const block of sound) client.send(block);
  for await (const block of fileBlocks(file, { pace: Infinity })) await client.send(block);
  client.gap(5); client.flush(); client.stop();
  // @ts-expect-error: text is no sound
  client.send("la la");
  // @ts-expect-error: there is no such encoding
  new EmostreamClient({ url: "ws://x", sampleRate: 16000, encoding: "mp3" });
  try {
    await microphone();
  } catch (error) {
    if (error instanceof MicrophoneError && error.code === "refused") return error.message;
  }
  return (await client.finished).phase;
}
"""


@pytest.mark.skipif(shutil.which("tsc") is None, reason="expected tsc on the path, found none")
async def test_a_program_in_typescript_is_checked(tmp_path: Path) -> None:
    for name in ("client.js", "client.d.ts"):
        shutil.copy(DEMO / name, tmp_path)
    (tmp_path / "program.ts").write_text(PROGRAM, encoding="utf-8")
    flags = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler --lib es2022,dom"
    tsc = await asyncio.create_subprocess_exec(
        "tsc", *flags.split(), "program.ts", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await tsc.communicate()
    assert tsc.returncode == 0, said.decode()
