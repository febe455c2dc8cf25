"""The timeline, the selected utterance, the session as a whole and its files, on the real server."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webvtt
from msgspec import structs
from playwright.async_api import Locator, Page, Request, expect

from emostream.streamer.audio.peaks import PeakHistory
from emostream.streamer.audio.ring_buffer import AudioRingBuffer
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import AUTOPLAY, BROWSER_TEST, DemoPage, Pages
from tests.support.fakes import silence, voice
from tests.support.page_server import LABELS, emotion, scores
from tests.support.serving import serving

pytestmark = BROWSER_TEST

LENGTH_S = 28
WHOLE_S = LENGTH_S / 0.97
"""What the timeline shows of a session that has ended: all, and a little after it."""


def stream(*, keeps_audio: bool) -> PublishedStream:
    """28 s with an utterance every four; there is a waveform, and the audio is kept, or not."""
    if not keeps_audio:
        return PublishedStream("tape", "A tape")
    kept, peaks = AudioRingBuffer(60, 16_000, 1), PeakHistory(16_000)
    parts = [part for _ in range(LENGTH_S // 4) for part in (silence(1_000), voice(2_500), silence(500))]
    for each in (kept, peaks):
        each.add(Pcm(np.concatenate(parts)[:, None]))
    return PublishedStream("tape", "A tape", audio=kept, peaks=peaks)


def final(utterance: int, label: str, confidence: float = 0.9, **changes: Any) -> messages.Emotion:
    """The n-th begins at 4n - 3 s and lasts 2.5 s."""
    start = 4_000 * utterance - 3_000
    wire = emotion(
        utterance,
        label,
        f"number {utterance}",
        start_ms=start,
        end_ms=start + 2_500,
        confidence=confidence,
        probabilities=scores(label, confidence),
    )
    message = messages.decode_server_message(json.dumps(wire | {"seq": 1} | changes))
    assert isinstance(message, messages.Emotion)
    return message


FOUR = [final(1, "angry", 0.9), final(2, "happy", 0.6), final(3, "sad", 0.8), final(4, "neutral", 0.5)]


@asynccontextmanager
async def shown(
    pages: Pages,
    finals: Sequence[messages.Emotion] = FOUR,
    *,
    keeps_audio: bool = True,
    ended: bool = False,
    **server: Any,
) -> AsyncIterator[tuple[DemoPage, PublishedStream, Server]]:
    """ended: the stream has ended after 28 s, so that nothing moves any more."""
    own = stream(keeps_audio=keeps_audio)
    async with serving(streams=[own], **server) as listening:
        app = DemoPage(await pages.open(AUTOPLAY))
        for event in finals:
            own.event_log.append(event)
        if ended:
            totals = messages.Totals(audio_ms=1_000 * LENGTH_S, utterances=len(finals), dropped_ms=0)
            own.event_log.end(messages.Closed(reason="end_of_stream", totals=totals))
        await app.open(listening, "ended" if ended else "live")
        await expect(app.cards).to_have_count(len(finals))
        yield app, own, listening


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Select an utterance")


def selected(page: Page) -> Locator:
    return page.get_by_role("region", name="The selected utterance")


# Selection and playback ---------------------------------------------------------------------------


async def test_keys_select_play_and_deselect(pages: Pages) -> None:
    async with shown(pages) as (app, _, _):
        page = app.page
        await expect(page.locator("#selected")).to_be_hidden()
        await slider(page).focus()
        await page.keyboard.press("ArrowLeft")
        await expect(slider(page)).to_have_attribute("aria-valuetext", "Neutral, 50 %, at 00:13.0: number 4")
        await expect(slider(page)).to_have_attribute("aria-valuenow", "4")
        await page.keyboard.press("ArrowLeft")
        await expect(selected(page).locator("h3")).to_have_text("Sad")
        await page.keyboard.press("Home")
        await expect(selected(page).locator("h3")).to_have_text("Angry")
        await expect(selected(page).get_by_role("button", name="Play")).to_be_enabled()
        await page.keyboard.press("Enter")
        await expect(selected(page).get_by_role("button", name="Stop")).to_be_visible()
        await expect(selected(page).get_by_role("button", name="Play")).to_be_visible()  # 2.5 s later
        await page.keyboard.press("Escape")
        await expect(page.locator("#selected")).to_be_hidden()
        assert app.errors == []


async def test_the_selected_utterance_shows_all_its_figures(pages: Pages) -> None:
    utterance = final(1, "angry", uncertain=["modalities_disagree"])
    async with shown(pages, [utterance]) as (app, _, _):
        page = app.page
        await app.card(1).get_by_role("button", name="Show the utterance at 00:01.0").click()
        part = selected(page)
        await expect(part.locator(".words")).to_have_text("number 1")
        await expect(part.locator(".chip.uncertain")).to_have_text("Audio and text disagree")
        rows = await part.locator("tbody tr").all_text_contents()
        assert [" ".join(row.split()) for row in rows] == [
            "angry90 %15 %97 %",
            "happy3 %15 %1 %",
            "sad3 %15 %1 %",
            "neutral3 %55 %1 %",
        ]
        names = await part.locator(".stages dt").all_text_contents()
        times = await part.locator(".stages dd").all_text_contents()
        assert dict(zip(names, times, strict=True)) == {
            "Pause that ended it": "500 ms",
            "Queued": "1 ms",
            "Transcription": "120 ms",
            "Alignment": "2 ms",
            "Emotion": "38 ms",
        }
        await expect(part).to_contain_text("The models started 300 ms before the pause was long enough.")
        await expect(part).to_contain_text("661 ms from the end of speech to the label.")
        await part.get_by_role("button", name="Close").click()
        await expect(page.locator("#selected")).to_be_hidden()


async def test_channels_have_lanes_and_a_click_selects_in_its_lane(pages: Pages) -> None:
    """Two people speak at once, and the second turns from happy to angry."""
    labels = ["sad", "happy", "sad", "angry", "sad", "angry"]
    finals = [final(n, label, channel=2 - n % 2) for n, label in enumerate(labels, 1)]
    for place in range(0, 6, 2):
        first, second = finals[place : place + 2]
        finals[place + 1] = structs.replace(second, start_ms=first.start_ms, end_ms=first.end_ms + 1_000)
    async with shown(pages, finals, ended=True) as (app, _, _):
        page = app.page
        lanes = slider(page)
        box = await lanes.bounding_box()
        assert box is not None
        # The second pair lies at 9 to 11.5 s.
        view = await page.evaluate("document.querySelector('#timeline').clientWidth")
        for share, label in ((0.25, "Sad"), (0.7, "Angry")):
            await lanes.click(position={"x": view * 10 / WHOLE_S, "y": box["height"] * share})
            await expect(selected(page).locator("h3")).to_have_text(label)
            await page.keyboard.press("Escape")
        turn = page.locator("#turns").get_by_role("button")
        await expect(turn).to_have_text("Happy to angry, channel 200:09")
        await turn.click()
        await expect(slider(page)).to_have_attribute("aria-valuenow", "4")
        assert app.errors == []


async def test_a_click_on_an_utterance_plays_it(pages: Pages) -> None:
    async with shown(pages, ended=True) as (app, _, _):
        page = app.page
        box = await slider(page).bounding_box()
        assert box is not None
        x = box["width"] * 6.2 / WHOLE_S  # the second one: 5.0 to 7.5 s
        await slider(page).click(position={"x": x, "y": box["height"] / 2})
        await expect(selected(page).locator("h3")).to_have_text("Happy")
        await expect(selected(page).get_by_role("button", name="Stop")).to_be_visible()
        await slider(page).click(position={"x": x, "y": box["height"] / 2})
        await expect(selected(page).get_by_role("button", name="Play")).to_be_visible()


async def test_one_can_listen_along(pages: Pages) -> None:
    async with shown(pages, ended=True) as (app, _, _):
        button = app.page.get_by_role("button", name="Listen along")
        await expect(button).to_have_attribute("aria-pressed", "false")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")
        assert app.errors == []


async def test_without_kept_audio_playback_is_disabled(pages: Pages) -> None:
    async with shown(pages, keeps_audio=False) as (app, _, _):
        await slider(app.page).focus()
        await app.page.keyboard.press("End")
        await expect(selected(app.page).get_by_role("button", name="No audio kept")).to_be_disabled()
        await expect(app.page.locator("#listen")).to_be_hidden()
        assert not [url for url in app.requests if "/audio?" in url]


async def test_audio_is_requested_with_the_token_and_never_in_the_address(
    pages: Pages, tmp_path: Path
) -> None:
    token = "open sesame, 0123456789"
    (tmp_path / "tokens").write_text(token + "\n")
    own = stream(keeps_audio=True)
    async with serving(streams=[own], token_file=str(tmp_path / "tokens")) as server:
        page = await pages.open(AUTOPLAY)
        app, requested = DemoPage(page), asyncio.get_running_loop().create_future()

        def on_request(request: Request) -> None:
            if "/audio?" in request.url and not requested.done():
                requested.set_result((request.url, request.headers.get("authorization")))

        page.on("request", on_request)
        own.event_log.append(FOUR[0])
        await app.open(server, "refused")
        await page.get_by_label("Token", exact=True).fill(token)
        await page.keyboard.press("Enter")
        await app.expect_state("live")
        await app.card(1).get_by_role("button", name="Show the utterance at 00:01.0").click()
        assert not requested.done()  # no sound is fetched before it is to be heard
        await selected(page).get_by_role("button", name="Play").click()
        url, header = await requested
        assert header == f"Bearer {token}"
        assert "sesame" not in url


# What is drawn ------------------------------------------------------------------------------------

COLUMN = """([canvas, share]) => {
    const { width, height } = canvas;
    const pixels = canvas.getContext("2d").getImageData(Math.round(share * width), 0, 1, height).data;
    return Array.from({ length: height }, (_, y) => [...pixels.slice(4 * y, 4 * y + 4)]);
}"""
HUES = {"angry": (0xC8, 0x42, 0x0C), "happy": (0xB9, 0x7A, 0x00), "sad": (0x1D, 0x6F, 0xB8)}


async def column(page: Page, at_s: float, view_s: float = 30.0) -> np.ndarray:
    """(height, 3): the pixels at this second of a view that begins at 0."""
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    canvas = await slider(page).element_handle()
    pixels = np.array(await page.evaluate(COLUMN, [canvas, at_s / view_s]), float)
    cover = pixels[:, 3:] / 255
    on_white: np.ndarray = cover * pixels[:, :3] + (1 - cover) * 255  # the card's
    return on_white


def near(pixels: np.ndarray, hue: tuple[int, int, int], alpha: float = 0.24) -> np.ndarray:
    """Where this colour is, as transparent as a block's background, on white."""
    wanted = alpha * np.array(hue) + (1 - alpha) * 255
    found: np.ndarray = np.abs(pixels - wanted).max(axis=1) <= 6
    return found


async def test_a_block_has_the_colour_of_its_emotion_and_the_height_of_its_confidence(pages: Pages) -> None:
    async with shown(pages, keeps_audio=False, ended=True) as (app, _, _):
        heights = {}
        for label, at_s in (("angry", 2.0), ("happy", 6.0), ("sad", 10.4)):
            pixels = await column(app.page, at_s, WHOLE_S)
            rows = np.flatnonzero(near(pixels, HUES[label]))
            others = [near(pixels, HUES[other]).sum() for other in HUES if other != label]
            assert max(others) == 0
            heights[label] = rows[-1] - rows[0]
        assert heights["happy"] / heights["angry"] == pytest.approx(0.6 / 0.9, abs=0.05)
        assert heights["sad"] / heights["angry"] == pytest.approx(0.8 / 0.9, abs=0.05)


async def test_the_waveform_has_the_colour_of_its_utterance(pages: Pages) -> None:
    async with shown(pages, ended=True) as (app, _, _):
        page = app.page
        await expect(selected(page)).to_be_hidden()
        async with asyncio.timeout(30):
            while True:  # the waveform comes after the events
                background, solid = 0, 0
                for at_s in np.arange(5.4, 7.0, 0.1):
                    pixels = await column(page, float(at_s), WHOLE_S)
                    background += int(near(pixels, HUES["happy"]).sum())
                    solid += int(near(pixels, HUES["happy"], alpha=1.0).sum())
                if solid > 100:
                    break
        assert background > 100
        silent = await column(page, 4.3, WHOLE_S)
        assert not near(silent, HUES["happy"], alpha=1.0).any()


async def test_an_interim_result_has_a_dashed_outline(pages: Pages) -> None:
    interim = final(1, "angry", final=False, reason="speaking", text="")
    row = """([canvas, from, to]) => {
        const { width, height } = canvas;
        const pen = canvas.getContext("2d");
        const rows = [];
        const [left, wide] = [Math.round(from * width), Math.round((to - from) * width)];
        for (let y = 0; y < height; y++) {
            const { data } = pen.getImageData(left, y, wide, 1);
            let inked = 0;
            for (let i = 0; i < data.length; i += 4) {
                const far = [0xc8, 0x42, 0x0c].map((hue, k) => Math.abs(data[i + k] - hue));
                inked += data[i + 3] > 200 && Math.max(...far) < 30;
            }
            rows.push(inked / (data.length / 4));
        }
        return Math.max(...rows); // along the edge
    }"""
    edges = {}
    started = messages.SpeechStarted(utterance=1, start_ms=1_000)
    cases: dict[str, list[messages.Emotion | messages.SpeechStarted]] = {
        "final": [final(1, "angry")],
        "interim": [started, interim],
    }
    for name, events in cases.items():
        own = stream(keeps_audio=False)
        async with serving(streams=[own]) as server:
            app = DemoPage(await pages.open(viewport={"width": 1280, "height": 720}))
            for event in events:
                own.event_log.append(event)
            await app.open(server)
            await expect(app.card(1)).to_have_attribute("data-final", str(name == "final").lower())
            await column(app.page, 1)
            canvas = await slider(app.page).element_handle()
            edges[name] = await app.page.evaluate(row, [canvas, 1.3 / 30, 3.2 / 30])
    assert edges["final"] > 0.95
    assert 0.3 < edges["interim"] < 0.8


async def test_the_view_can_be_panned_back_and_returns_to_live(pages: Pages) -> None:
    finals = [final(n, LABELS[n % 4]) for n in range(1, 41)]
    async with shown(pages, finals, keeps_audio=False) as (app, own, _):
        page = app.page
        now = page.get_by_role("button", name="Go to live")
        await expect(now).to_be_hidden()
        await slider(page).focus()
        await page.keyboard.press("Home")
        await expect(now).to_be_visible()
        box = await slider(page).bounding_box()
        assert box is not None
        before = await column(page, 2.0)
        own.event_log.append(final(41, "sad"))
        await expect(app.card(41)).to_have_count(1)
        np.testing.assert_array_equal(await column(page, 2.0), before)  # a view of the past does not move
        await page.get_by_role("button", name="Show more time").click()
        await page.get_by_role("button", name="Show less time").click()
        await now.click()
        await expect(now).to_be_hidden()
        y = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + 200, y)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 600, y, steps=4)
        await page.mouse.up()
        await expect(now).to_be_visible()


# The whole ----------------------------------------------------------------------------------------


async def test_shares_latency_and_counts_are_those_of_the_events(pages: Pages) -> None:
    timings = [
        messages.Timing(
            endpoint_ms=500, lead_ms=0, queue_ms=0, asr_ms=0, align_ms=0, emotion_ms=0, total_ms=500 + ms
        )
        for ms in (10, 20, 30, 200)
    ]
    finals = [
        final(1, "angry", timing=events_json(timings[0])),
        final(2, "angry", timing=events_json(timings[1])),
        final(3, "sad", timing=events_json(timings[2])),
        final(4, "happy", timing=events_json(timings[3])),
    ]
    async with shown(pages, finals, keeps_audio=False) as (app, _, _):
        page = app.page
        rows = await page.locator("#shares li").all_inner_texts()
        assert [" ".join(row.split()) for row in rows] == [
            "Angry 50 % 00:05",
            "Happy 25 % 00:02",
            "Sad 25 % 00:02",
            "Neutral 0 % 00:00",
        ]
        facts = dict(
            zip(
                await page.locator("#summary-facts dt").all_text_contents(),
                await page.locator("#summary-facts dd").all_text_contents(),
                strict=True,
            )
        )
        assert facts == {
            "Utterances": "4",
            "Speech": "00:10.0",
            "From the end of speech to its label": "520 ms, 19 of 20 within 700 ms",
            "Of that, after the pause that ends it": "20 ms, 19 of 20 within 200 ms",
        }


def events_json(timing: messages.Timing) -> dict[str, float]:
    return {name: getattr(timing, name) for name in timing.__struct_fields__}


async def exported(page: Page, name: str) -> bytes:
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name=name, exact=True).click()
    download = await waiting.value
    assert download.suggested_filename.startswith("emostream-")
    suffix = {"WebVTT": "vtt", "Picture": "png"}.get(name, name.lower())
    assert download.suggested_filename.endswith(f".{suffix}")
    path = Path(await download.path())
    return await asyncio.to_thread(path.read_bytes)


async def test_the_session_is_exported_in_four_formats(pages: Pages) -> None:
    async with shown(pages) as (app, _, _):
        page = app.page
        lines = (await exported(page, "JSONL")).decode().splitlines()
        decoded = [messages.decode_server_message(line) for line in lines]
        assert [one.label for one in decoded if isinstance(one, messages.Emotion)] == [
            one.label for one in FOUR
        ]
        rows = list(csv.DictReader(io.StringIO((await exported(page, "CSV")).decode())))
        assert [(row["file"], row["label"], float(row["confidence"])) for row in rows] == [
            ("A tape", one.label, one.confidence) for one in FOUR
        ]
        cues = webvtt.from_string((await exported(page, "WebVTT")).decode())
        assert [(cue.start, cue.text) for cue in cues.captions] == [
            ("00:00:01.000", "[angry 90%] number 1"),
            ("00:00:05.000", "[happy 60%] number 2"),
            ("00:00:09.000", "[sad 80%] number 3"),
            ("00:00:13.000", "[neutral 50%] number 4"),
        ]
        assert (await exported(page, "Picture"))[:8] == b"\x89PNG\r\n\x1a\n"
        assert app.errors == []


async def test_times_continue_where_a_restarted_server_begins_at_zero(pages: Pages) -> None:
    """The page has one clock for all sessions of a stream."""
    own = stream(keeps_audio=False)
    async with serving(streams=[own]) as server:
        port = server.port
        app = DemoPage(await pages.open())
        own.event_log.append(final(1, "angry"))
        await app.open(server)
        await expect(app.cards).to_have_count(1)
    await app.expect_state("reconnecting")
    own = stream(keeps_audio=False)
    async with serving(streams=[own], port=port):
        await app.expect_state("live")
        own.event_log.append(final(1, "sad"))
        await expect(app.cards).to_have_count(2)
        await expect(app.page.locator(".divider")).to_have_text("A new session began")
        time = await app.cards.first.locator(".time").inner_text()
        minutes, seconds = time.split(" ")[0].split(":")
        # After the end of the first session, at a whole second.
        start = 60 * int(minutes) + float(seconds)
        assert start > 4.5
        assert start == int(start)
