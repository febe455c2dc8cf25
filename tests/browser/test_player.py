"""Playback of a span of the session's audio."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.support.browser import AUTOPLAY, BROWSER_TEST, Pages
from tests.support.page_server import PageServer

pytestmark = BROWSER_TEST

STEP = 1 / 32_768  # of 16-bit audio

SPY = """
    const nodes = [];
    const { start, stop } = AudioBufferSourceNode.prototype;
    AudioBufferSourceNode.prototype.start = function (at) {
        nodes.push({ node: this, playing: true, at });
        this.addEventListener("ended", () => { nodes.find(({ node }) => node === this).playing = false; });
        start.call(this, at);
    };
    AudioBufferSourceNode.prototype.stop = function () {
        nodes.find(({ node }) => node === this).playing = false;
        stop.call(this);
    };
    const playingCount = () => nodes.filter((one) => one.playing).length;
    const restore = () => Object.assign(AudioBufferSourceNode.prototype, { start, stop });
"""


@pytest_asyncio.fixture(loop_scope="session")
async def blank(pages: Pages, server: PageServer) -> Page:
    """A document of the server's origin in which no script runs, and audio may be played."""
    page = await pages.open(AUTOPLAY)
    await page.goto(server.url + "style.css")
    return page


async def played(page: Page, script: str) -> Any:
    """What the script returns. `audio` is ten seconds of 0.1, 0.2 and so on to 1.0, a second each.

    The timeout is a bound on hanging.
    """
    async with asyncio.timeout(30):
        return await page.evaluate(
            f"""async () => {{
                const {{ AudioRingBuffer }} = await import("/audio_buffer.js");
                const {{ Player }} = await import("/player.js");
                const audio = new AudioRingBuffer(16_000);
                for (let i = 0; i < 10; i++) {{
                    audio.write(1_000 * i, new Float32Array(16_000).fill((i + 1) / 10));
                }}
                {SPY}
                try {{ {script} }} finally {{ restore(); }}
            }}"""
        )


async def test_the_same_key_again_stops_it(blank: Page) -> None:
    assert await played(
        blank,
        """
        const changes = [];
        const player = new Player(() => changes.push(player.playing));
        const states = [[player.playing, player.positionMs, playingCount()]];
        for (const key of ["a", "a", "a"]) {
            await player.toggle(key, audio, 1_000, 9_000);
            const at = player.positionMs;
            states.push([player.playing, at === null ? null : 1_000 <= at && at < 9_000, playingCount()]);
        }
        player.stop();
        player.stop();
        states.push([player.playing, player.positionMs, playingCount()]);
        return { changes, states };
        """,
    ) == {
        "changes": ["a", None, "a", None],
        "states": [
            [None, None, 0],
            ["a", True, 1],
            [None, None, 0],
            ["a", True, 1],
            [None, None, 0],
        ],
    }


async def test_another_key_replaces_it(blank: Page) -> None:
    assert await played(
        blank,
        """
        const changes = [];
        const player = new Player(() => changes.push(player.playing));
        await player.toggle("a", audio, 0, 9_000);
        await player.toggle("b", audio, 5_000, 9_000);
        const state = [player.playing, player.positionMs >= 5_000, playingCount()];
        player.stop();
        return { changes, state };
        """,
    ) == {"changes": ["a", None, "b", None], "state": ["b", True, 1]}


async def test_playback_ends_with_the_span(blank: Page) -> None:
    assert await played(
        blank,
        """
        const changes = [];
        let resolveEnded;
        const ended = new Promise((resolve) => (resolveEnded = resolve));
        const player = new Player(() => {
            changes.push(player.playing);
            if (player.playing === null) resolveEnded();
        });
        await player.toggle("a", audio, 0, 40);
        await ended;
        return { changes, position: player.positionMs, playing: playingCount() };
        """,
    ) == {"changes": ["a", None], "position": None, "playing": 0}


async def test_exactly_the_span_is_played(blank: Page) -> None:
    """From the middle of a second of 0.2 over one of 0.3 into one without audio."""
    found = await played(
        blank,
        """
        const player = new Player(() => {});
        await player.toggle("a", audio, 1_500, 2_750);
        player.stop();
        await player.toggle("a", audio, 9_500, 10_500);
        player.stop();
        return nodes.map(({ node: { buffer } }) => ({
            rate: buffer.sampleRate,
            channels: buffer.numberOfChannels,
            samples: [...buffer.getChannelData(0)],
        }));
        """,
    )
    for buffer, (values, counts) in zip(
        found, [([0.2, 0.3], [8_000, 12_000]), ([1.0, 0.0], [8_000, 8_000])], strict=True
    ):
        assert (buffer["rate"], buffer["channels"]) == (16_000, 1)
        assert buffer["samples"] == pytest.approx(np.repeat(values, counts), abs=STEP)


async def test_an_empty_span_plays_nothing(blank: Page) -> None:
    assert await played(
        blank,
        """
        const changes = [];
        const player = new Player(() => changes.push(player.playing));
        await player.toggle("a", audio, 2_000, 2_000);
        return [player.playing, playingCount(), changes];
        """,
    ) == [None, 0, []]


@pytest.mark.parametrize(
    ("clicks", "left"),
    [(["a", "b"], ["b", 1, 0]), (["a", "a"], [None, 0, 0]), (["a", "b", "b"], [None, 0, 0])],
)
async def test_the_last_of_several_quick_clicks_counts(
    blank: Page, clicks: list[str], left: list[Any]
) -> None:
    """The browser takes a moment to open the output device."""
    found = await played(
        blank,
        f"""
        const player = new Player(() => {{}});
        await Promise.all({json.dumps(clicks)}.map((key) => player.toggle(key, audio, 0, 9_000)));
        const state = [player.playing, playingCount()];
        player.stop();
        return [...state, playingCount()];
        """,
    )
    assert found == left


async def test_audio_that_is_stopped_before_it_plays_never_plays(blank: Page) -> None:
    assert await played(
        blank,
        """
        const player = new Player(() => {});
        const begun = player.toggle("a", audio, 0, 9_000);
        player.stop();
        await begun;
        return [player.playing, playingCount()];
        """,
    ) == [None, 0]


async def test_listening_goes_on_with_what_comes(blank: Page) -> None:
    """From 9 s on: what there is, each piece where the one before ends; then what comes a moment later."""
    found = await played(
        blank,
        """
        const changes = [];
        const player = new Player(() => changes.push(player.playing));
        await player.listen(audio, 9_000);
        const first = nodes.map(({ at, node: { buffer } }) => [at, buffer.duration]);
        const position = player.positionMs;
        while (playingCount() > 0) await new Promise((resolve) => setTimeout(resolve, 20));
        const waiting = [player.playing, player.positionMs];
        audio.write(10_000, new Float32Array(8_000).fill(0.5));
        while (nodes.length === first.length) await new Promise((resolve) => setTimeout(resolve, 20));
        const later = [...nodes.at(-1).node.buffer.getChannelData(0)];
        player.stop();
        return { changes, first, position, waiting, later, playing: playingCount() };
        """,
    )
    (first_at, first_s), (second_at, second_s) = found["first"]
    assert (first_s, second_s) == (0.5, 0.5)
    assert second_at == pytest.approx(first_at + 0.5)
    assert 9_000 <= found["position"] < 9_500
    assert found["waiting"] == ["listening", None]
    assert found["later"] == pytest.approx([0.5] * 8_000, abs=STEP)
    assert (found["changes"], found["playing"]) == (["listening", None], 0)


async def test_an_utterance_takes_the_place_of_listening(blank: Page) -> None:
    assert await played(
        blank,
        """
        const player = new Player(() => {});
        await player.listen(audio, 0);
        await player.toggle("a", audio, 5_000, 9_000);
        await new Promise((resolve) => setTimeout(resolve, 300));
        const state = [player.playing, playingCount(), player.positionMs >= 5_000];
        await player.listen(audio, 0);
        await player.listen(audio, 0);
        return [...state, player.playing, playingCount()];
        """,
    ) == ["a", 1, True, None, 0]
