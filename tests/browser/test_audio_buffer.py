"""The sound that the page holds, compared with numpy and Python's own `wave`."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import struct
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from playwright.async_api import JSHandle, Page

from tests.support.browser import chromium, needs_chromium
from tests.support.page_server import PageServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

Samples = npt.NDArray[np.float32]

RATES = [16_000, 22_050, 44_100, 48_000]
STEP = 1 / 32_768  # of 16-bit sound
LEVEL = 1 / 255  # of a peak
HELD_BYTES = 64 * 1024 * 1024
DAY_MS = 24 * 3_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blank() -> AsyncIterator[Page]:
    """A document of the server's origin in which no script of the page runs, and sound may be played."""
    flags = ("--autoplay-policy=no-user-gesture-required", "--mute-audio")
    async with PageServer() as server, chromium(*flags) as browser:
        page = await browser.new_page()
        await page.goto(server.url + "style.css")
        yield page


class Held:
    """A HeldSound in the page."""

    def __init__(self, handle: JSHandle, rate: int) -> None:
        self.handle = handle
        self.rate = rate

    async def add(self, from_ms: float, samples: Samples) -> None:
        await self.handle.evaluate(
            """(sound, [fromMs, text]) => {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                sound.add(fromMs, new Float32Array(bytes.buffer));
            }""",
            [from_ms, base64.b64encode(samples.astype("<f4").tobytes()).decode()],
        )

    async def add_from(self, first: int, samples: Samples) -> None:
        """By the number of its first sample."""
        await self.add(first * 1_000 / self.rate, samples)

    async def samples(self, from_ms: float, to_ms: float) -> Samples:
        text = await self.handle.evaluate(
            """(sound, [fromMs, toMs]) => {
                let text = "";
                for (const byte of new Uint8Array(sound.samples(fromMs, toMs).buffer)) {
                    text += String.fromCharCode(byte);
                }
                return btoa(text);
            }""",
            [from_ms, to_ms],
        )
        return np.frombuffer(base64.b64decode(text), "<f4")

    async def peaks(self, spans: list[tuple[int, int]]) -> list[float]:
        script = "(sound, spans) => spans.map(([fromMs, toMs]) => sound.peak(fromMs, toMs))"
        found: list[float] = await self.handle.evaluate(script, [list(span) for span in spans])
        return found

    async def holds(self, from_ms: float, to_ms: float) -> bool:
        script = "(sound, [fromMs, toMs]) => sound.holds(fromMs, toMs)"
        return bool(await self.handle.evaluate(script, [from_ms, to_ms]))

    async def get(self, name: str) -> Any:
        return await self.handle.evaluate("(sound, name) => sound[name]", name)


async def held(page: Page, rate: int = 16_000) -> Held:
    script = """async (rate) => new (await import("/sound.js")).HeldSound(rate)"""
    return Held(await page.evaluate_handle(script, rate), rate)


def noise(rng: np.random.Generator, count: int, loudness: float = 1.0) -> Samples:
    return rng.uniform(-loudness, loudness, count).astype(np.float32)


def some(*values: float) -> Samples:
    return np.array(values, np.float32)


def sample(ms: float, rate: int) -> int:
    """The nearest one; of two, the later."""
    return math.floor(ms * rate / 1_000 + 0.5)


def cut(rng: np.random.Generator, signal: Samples) -> list[tuple[int, Samples]]:
    """Into pieces of any length, with the number of their first sample."""
    places = np.sort(rng.choice(np.arange(1, len(signal)), size=12, replace=False))
    firsts = [0, *(int(place) for place in places)]
    return list(zip(firsts, np.split(signal, places), strict=True))


# What is heard again ------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
async def test_what_was_added_is_heard_again(blank: Page, rate: int) -> None:
    """Cut anywhere, from an odd moment on, asked for by any span: to 16 bits; silence around it."""
    rng = np.random.default_rng(rate)
    first = sample(1_234.567, rate)
    signal = noise(rng, int(3.3 * rate))
    sound = await held(blank, rate)
    for at, piece in cut(rng, signal):
        await sound.add_from(first + at, piece)
    whole = np.zeros(6 * rate, np.float32)
    whole[first : first + len(signal)] = signal
    ends = [sorted(float(ms) for ms in rng.uniform(0, 6_000, 2)) for _ in range(12)]
    for from_ms, to_ms in [(0.0, 6_000.0), (1_000.0, 1_200.0), (2_000.0, 2_000.0), *map(tuple, ends)]:
        expected = whole[sample(from_ms, rate) : sample(to_ms, rate)]
        found = await sound.samples(from_ms, to_ms)
        assert len(found) == len(expected)
        assert np.abs(found - expected).max(initial=0) <= STEP
    assert await sound.get("endMs") == pytest.approx((first + len(signal)) * 1_000 / rate)
    assert await sound.get("rate") == rate


@pytest.mark.parametrize("seed", range(3))
async def test_a_hole_is_silence(blank: Page, seed: int) -> None:
    """Pieces that come in any order, some of them never."""
    rng = np.random.default_rng(seed)
    signal = noise(rng, 80_000)
    sound = await held(blank)
    expected = np.zeros_like(signal)
    pieces = cut(rng, signal)
    for place in rng.permutation(len(pieces))[:7]:
        first, piece = pieces[place]
        await sound.add_from(first, piece)
        expected[first : first + len(piece)] = piece
    assert 0 < np.count_nonzero(expected) < len(expected)
    assert np.abs(await sound.samples(0, 5_000) - expected).max() <= STEP


async def test_what_comes_again_replaces_what_was_there(blank: Page) -> None:
    sound = await held(blank)
    await sound.add(0, np.full(16_000, 0.5, np.float32))
    await sound.add(500, np.full(4_000, -0.25, np.float32))
    expected = np.repeat(some(0.5, -0.25, 0.5), [8_000, 4_000, 4_000])
    assert (await sound.samples(0, 1_000)).tolist() == expected.tolist()
    assert await sound.get("endMs") == 1_000


async def test_what_is_too_loud_is_cut_and_not_folded(blank: Page) -> None:
    sound = await held(blank)
    await sound.add(0, some(1.0, 3.0, -1.0, -3.0))
    assert (await sound.samples(0, 0.25)).tolist() == [1 - STEP, 1 - STEP, -1.0, -1.0]
    assert await sound.peaks([(0, 10)]) == [1.0]


async def test_sound_is_expected_once_some_has_come(blank: Page) -> None:
    sound = await held(blank)
    await sound.add(0, some())
    await sound.add(-1, some(0.5))
    assert (await sound.get("expected"), await sound.get("endMs")) == (False, 0)
    await sound.add(0, some(0.5))
    assert (await sound.get("expected"), await sound.get("endMs")) == (True, 1 / 16)


async def test_of_a_stream_that_is_days_old_the_last_day_is_heard(blank: Page) -> None:
    sound = await held(blank)
    first = 3 * DAY_MS + 250
    await sound.add(first, some(0.5, 0.25))
    assert (await sound.samples(first, first + 2 / 16)).tolist() == [0.5, 0.25]
    assert await sound.peaks([(first, first + 10), (0, 10)]) == [pytest.approx(0.5, abs=1 / 255), 0]
    await sound.add(first + DAY_MS + 1_000, some(0.5))
    assert await sound.get("endMs") == first + 2 / 16


# What is drawn ------------------------------------------------------------------------------------


def loudest(whole: Samples, rate: int, from_ms: int, to_ms: int) -> float:
    """Of the hundredths of a second that the span touches; of its whole seconds from two seconds on."""
    unit = 1_000 if to_ms - from_ms >= 2_000 else 10
    low, high = (math.floor(from_ms / unit) * unit, math.ceil(to_ms / unit) * unit)
    part = whole[math.ceil(low * rate / 1_000) : math.ceil(high * rate / 1_000)]
    return float(min(1.0, np.abs(part).max(initial=0)))


@pytest.mark.parametrize("rate", RATES)
async def test_a_peak_is_the_loudest_sample_of_a_span(blank: Page, rate: int) -> None:
    """Noise that swells and fades within a tenth of a second, from an odd moment on, cut anywhere."""
    rng = np.random.default_rng(rate)
    first = sample(777.7, rate)
    signal = noise(rng, 9 * rate) * np.abs(np.sin(np.arange(9 * rate) * np.pi * 10 / rate)).astype(np.float32)
    signal *= np.linspace(0.1, 1.05, len(signal), dtype=np.float32)
    sound = await held(blank, rate)
    for at, piece in cut(rng, signal):
        await sound.add_from(first + at, piece)
    whole = np.zeros(12 * rate, np.float32)
    whole[first : first + len(signal)] = signal
    spans = [(0, 10), (770, 780), (0, 12_000), (9_000, 11_999), (4_000, 4_000), (2_500, 4_500)]
    for length in (1, 10, 35, 400, 1_999, 2_000, 2_345, 6_000):
        spans += [(at, at + length) for at in map(int, rng.integers(0, 12_000 - length, 25))]
    expected = [loudest(whole, rate, *span) for span in spans]
    assert len(set(expected)) > 75
    assert await sound.peaks(spans) == pytest.approx(expected, abs=LEVEL / 2 + 1e-9)


async def test_there_is_no_peak_where_there_is_no_sound(blank: Page) -> None:
    sound = await held(blank)
    await sound.add(5_000, np.full(160, 0.5, np.float32))
    spans = [
        (0, 5_000),
        (4_000, 5_000),
        (4_990, 5_000),
        (5_010, 5_020),
        (6_000, 9_000),
        (-500, 10),
        (90_000, 95_000),
    ]
    assert await sound.peaks(spans) == [0.0] * len(spans)
    assert await sound.peaks([(5_000, 5_010), (4_999, 5_001), (-100, 9_000)]) == [128 / 255] * 3


async def test_the_last_moments_of_a_day_have_their_peaks(blank: Page) -> None:
    sound = await held(blank)
    await sound.add(DAY_MS - 1_000, np.full(16_000, 1.0, np.float32))
    assert await sound.peaks([(DAY_MS - 10, DAY_MS), (0, DAY_MS), (0, DAY_MS - 1_000)]) == [1.0, 1.0, 0.0]
    assert await sound.get("endMs") == DAY_MS


# What it costs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_the_oldest_sound_goes_and_its_picture_stays(blank: Page, rate: int) -> None:
    """A click a minute, each louder than the last, for ten minutes more than 64 MiB can hold."""
    kept_s = HELD_BYTES // (2 * rate)
    minutes = math.ceil(kept_s / 60) + 10
    sound = await held(blank, rate)
    await sound.handle.evaluate(
        """(sound, minutes) => {
            const block = new Float32Array(60 * sound.rate);
            for (let minute = 0; minute < minutes; minute++) {
                block[30 * sound.rate] = (minute + 1) / minutes;
                sound.add(60_000 * minute, block);
            }
        }""",
        minutes,
    )
    end_ms = 60_000 * minutes
    gone_ms = end_ms - 1_000 * kept_s
    assert await sound.get("endMs") == end_ms
    assert not await sound.holds(0, gone_ms)
    assert await sound.holds(gone_ms - 1, gone_ms + 1)
    assert await sound.holds(gone_ms, gone_ms + 1)
    assert await sound.holds(end_ms - 1, end_ms)
    assert not await sound.holds(end_ms, end_ms + 60_000)

    clicks = [60_000 * minute + 30_000 for minute in range(minutes)]
    assert sum(ms < gone_ms for ms in clicks) >= 10
    heard = [float((await sound.samples(ms, ms + 1)).max()) for ms in clicks]
    loud = [(minute + 1) / minutes for minute in range(minutes)]
    held_ones = [value if ms >= gone_ms else 0.0 for ms, value in zip(clicks, loud, strict=True)]
    assert heard == pytest.approx(held_ones, abs=STEP)
    drawn = await sound.peaks([(ms, ms + 10) for ms in clicks])
    assert drawn == pytest.approx(loud, abs=LEVEL / 2 + 1e-9)
    by_the_minute = await sound.peaks([(ms - 30_000, ms + 30_000) for ms in clicks])
    assert by_the_minute == drawn


async def test_sound_is_held_by_the_second(blank: Page) -> None:
    sound = await held(blank)
    assert not await sound.holds(0, DAY_MS)
    await sound.add(3_200, np.full(1_600, 0.5, np.float32))
    spans = {
        (0, 3_000): False,
        (0, 3_001): True,
        (3_200, 3_300): True,
        (2_500, 9_000): True,
        (4_000, 5_000): False,
    }
    assert {span: await sound.holds(*span) for span in spans} == spans


# What is played -----------------------------------------------------------------------------------

SPY = """
    const nodes = [];
    const { start, stop } = AudioBufferSourceNode.prototype;
    AudioBufferSourceNode.prototype.start = function () {
        nodes.push({ node: this, sounding: true });
        this.addEventListener("ended", () => { nodes.find(({ node }) => node === this).sounding = false; });
        start.call(this);
    };
    AudioBufferSourceNode.prototype.stop = function () {
        nodes.find(({ node }) => node === this).sounding = false;
        stop.call(this);
    };
    const sounding = () => nodes.filter((one) => one.sounding).length;
    const tidy = () => Object.assign(AudioBufferSourceNode.prototype, { start, stop });
"""


async def played(page: Page, script: str) -> Any:
    """With `sound`, ten seconds of 0.1, 0.2 and so on to 1.0, a second each, and what sounds spied on.

    The bound is one on hanging.
    """
    async with asyncio.timeout(30):
        return await page.evaluate(
            f"""async () => {{
                const {{ HeldSound, ReplayRunner }} = await import("/sound.js");
                const sound = new HeldSound(16_000);
                for (let i = 0; i < 10; i++) {{
                    sound.add(1_000 * i, new Float32Array(16_000).fill((i + 1) / 10));
                }}
                {SPY}
                try {{ {script} }} finally {{ tidy(); }}
            }}"""
        )


async def test_the_same_again_stops_it(blank: Page) -> None:
    assert await played(
        blank,
        """
        const told = [];
        const player = new Player(() => told.push(player.playing));
        const states = [[player.playing, player.positionMs, sounding()]];
        for (const key of ["a", "a", "a"]) {
            await player.toggle(key, sound, 1_000, 9_000);
            const at = player.positionMs;
            states.push([player.playing, at === null ? null : 1_000 <= at && at < 9_000, sounding()]);
        }
        player.stop();
        player.stop();
        states.push([player.playing, player.positionMs, sounding()]);
        return { told, states };
        """,
    ) == {
        "told": ["a", None, "a", None],
        "states": [
            [None, None, 0],
            ["a", True, 1],
            [None, None, 0],
            ["a", True, 1],
            [None, None, 0],
        ],
    }


async def test_another_takes_its_place(blank: Page) -> None:
    assert await played(
        blank,
        """
        const told = [];
        const player = new Player(() => told.push(player.playing));
        await player.toggle("a", sound, 0, 9_000);
        await player.toggle("b", sound, 5_000, 9_000);
        const state = [player.playing, player.positionMs >= 5_000, sounding()];
        player.stop();
        return { told, state };
        """,
    ) == {"told": ["a", None, "b", None], "state": ["b", True, 1]}


async def test_the_end_of_the_sound_is_the_end_of_the_playing(blank: Page) -> None:
    assert await played(
        blank,
        """
        const told = [];
        let ended;
        const over = new Promise((resolve) => (ended = resolve));
        const player = new Player(() => {
            told.push(player.playing);
            if (player.playing === null) ended();
        });
        await player.toggle("a", sound, 0, 40);
        await over;
        return { told, position: player.positionMs, sounding: sounding() };
        """,
    ) == {"told": ["a", None], "position": None, "sounding": 0}


async def test_the_span_is_what_sounds(blank: Page) -> None:
    """From the middle of a second of 0.2 over one of 0.3 into one that never came."""
    found = await played(
        blank,
        """
        const player = new Player(() => {});
        await player.toggle("a", sound, 1_500, 2_750);
        player.stop();
        await player.toggle("a", sound, 9_500, 10_500);
        player.stop();
        return nodes.map(({ node: { buffer } }) => ({
            rate: buffer.sampleRate,
            channels: buffer.numberOfChannels,
            samples: [...buffer.getChannelData(0)],
        }));
        """,
    )
    for one, (values, counts) in zip(
        found, [([0.2, 0.3], [8_000, 12_000]), ([1.0, 0.0], [8_000, 8_000])], strict=True
    ):
        assert (one["rate"], one["channels"]) == (16_000, 1)
        assert one["samples"] == pytest.approx(np.repeat(values, counts), abs=STEP)


async def test_nothing_is_played_of_no_span(blank: Page) -> None:
    assert await played(
        blank,
        """
        const told = [];
        const player = new Player(() => told.push(player.playing));
        await player.toggle("a", sound, 2_000, 2_000);
        return [player.playing, sounding(), told];
        """,
    ) == [None, 0, []]


# What the server's files say ----------------------------------------------------------------------


def wav(samples: npt.NDArray[np.int16], rate: int = 16_000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def with_chunk(file: bytes, at: int, payload: bytes) -> bytes:
    """At 12 before, at 36 behind `fmt `. What is odd is followed by a byte that does not count."""
    chunk = b"LIST" + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)
    return file[:at] + chunk + file[at:]


async def read_wav(page: Page, file: bytes) -> tuple[int, list[float]] | None:
    """The rate, and samples in steps of 16 bits."""
    found = await page.evaluate(
        """async (text) => {
            const { readWav } = await import("/kept.js");
            const found = readWav(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
            return found && [found.rate, [...found.samples].map((value) => value * 32_768)];
        }""",
        base64.b64encode(file).decode(),
    )
    return None if found is None else (found[0], found[1])


PCM = np.random.default_rng(7).integers(-32_768, 32_768, 1_001).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
async def test_a_wav_file_is_read(blank: Page, rate: int) -> None:
    extremes = np.array([-32_768, -1, 0, 1, 32_767], np.int16)
    assert await read_wav(blank, wav(extremes, rate)) == (rate, extremes.tolist())
    assert await read_wav(blank, wav(PCM, rate)) == (rate, PCM.tolist())
    assert await read_wav(blank, wav(PCM[:0], rate)) == (rate, [])


@pytest.mark.parametrize("at", [12, 36])
@pytest.mark.parametrize("length", [0, 1, 26, 33])
async def test_other_chunks_are_passed_over(blank: Page, at: int, length: int) -> None:
    file = with_chunk(wav(PCM), at, b"data" * 9)
    assert await read_wav(blank, with_chunk(file, at, b"x" * length)) == (16_000, PCM.tolist())


async def test_what_is_missing_at_the_end_is_not_read(blank: Page) -> None:
    """An odd byte is half a sample; a length that nobody knew reaches to the end."""
    file = wav(PCM)
    assert len(file) == 44 + 2 * 1_001
    for kept in (0, 1, 2, 3, 999, 1_000, 2_001):
        assert await read_wav(blank, file[: 44 + kept]) == (16_000, PCM[: kept // 2].tolist())
    endless = file[:40] + struct.pack("<I", 0xFFFF_FFFF) + file[44:]
    assert await read_wav(blank, endless) == (16_000, PCM.tolist())


NO_WAVS = {
    "empty": b"",
    "a head without its end": wav(PCM)[:43],
    "big-endian": b"RIFX" + wav(PCM)[4:],
    "an AVI file": wav(PCM)[:8] + b"AVI " + wav(PCM)[12:],
    "JSON": b'{"error": "not found", "why": "no such stream is kept here"}',
    "no data": wav(PCM)[:36] + b"DATA" + wav(PCM)[40:],
    "data before its format": wav(PCM)[:12] + wav(PCM)[36:],
}


@pytest.mark.parametrize("file", NO_WAVS.values(), ids=list(NO_WAVS))
async def test_what_is_no_wav_file_is_null(blank: Page, file: bytes) -> None:
    assert await read_wav(blank, file) is None


@pytest.mark.parametrize(
    ("hurried", "left"),
    [(["a", "b"], ["b", 1, 0]), (["a", "a"], [None, 0, 0]), (["a", "b", "b"], [None, 0, 0])],
)
async def test_quick_clicks_leave_the_last_wish(blank: Page, hurried: list[str], left: list[Any]) -> None:
    """The browser takes a moment to open the loudspeaker."""
    asked = json.dumps(hurried)
    found = await played(
        blank,
        f"""
        const player = new Player(() => {{}});
        await Promise.all({asked}.map((key) => player.toggle(key, sound, 0, 9_000)));
        const state = [player.playing, sounding()];
        player.stop();
        return [...state, sounding()];
        """,
    )
    assert found == left


async def test_what_is_stopped_before_it_sounds_never_sounds(blank: Page) -> None:
    assert await played(
        blank,
        """
        const player = new Player(() => {});
        const begun = player.toggle("a", sound, 0, 9_000);
        player.stop();
        await begun;
        return [player.playing, sounding()];
        """,
    ) == [None, 0]


async def test_a_wav_cut_anywhere_in_its_head_is_none(blank: Page) -> None:
    file = with_chunk(wav(PCM), 12, b"x" * 40)
    for length in range(92):
        assert await read_wav(blank, file[:length]) is None
