"""The page in a real headless Chromium, against a scripted server under the strict content policy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, expect

from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.page_server import DEMO, STREAM, PageServer, emotion, speech_started

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    needs_chromium,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 900})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def watched(context: BrowserContext) -> Watched:
    return Watched(await context.new_page())


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[PageServer]:
    async with PageServer() as server:
        yield server


async def test_ready_shows_the_stream_its_note_and_the_models(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    await expect(watched.page.locator("#connection-text")).to_have_text("Live")
    await expect(watched.page.locator("#stream-title")).to_have_text(STREAM["title"])
    await expect(watched.page.locator("#stream-note")).to_have_text(STREAM["note"])
    await expect(watched.page.locator("#stream-choice")).to_be_hidden()
    for model in ("webrtc 2", "pocketsphinx en-us", "bundled 0.1", "cpu"):
        await expect(watched.page.locator("#models")).to_contain_text(model)
    assert server.watched == ["demo"]
    assert server.subprotocols == ["emostream.v1"]


async def test_no_transcriber_is_said_in_words(server: PageServer, watched: Watched) -> None:
    server.asr = None
    await watched.open(server)
    await expect(watched.page.locator("#models")).to_contain_text("none: sound alone")


async def test_an_utterance_goes_from_speaking_to_provisional_to_final(
    server: PageServer, watched: Watched
) -> None:
    await watched.open(server)
    card = watched.card(1)

    server.publish(speech_started(1))
    await expect(card).to_have_class("utterance speaking")
    await expect(card).to_have_attribute("data-final", "false")

    server.publish(emotion(1, "sad", "stop", final=False, reason="speaking"))
    await expect(card).to_have_attribute("data-label", "sad")
    await expect(card).to_have_attribute("data-final", "false")

    server.publish(emotion(1, "angry", "stop it you broke my phone"))
    await expect(card).to_have_attribute("data-final", "true")
    await expect(card).to_have_attribute("data-label", "angry")
    await expect(card.locator("h3")).to_have_text("Angry")
    await expect(card.locator(".confidence")).to_have_text("91 %")
    await expect(card.locator(".words")).to_have_text("stop it you broke my phone")
    await expect(card.locator(".time")).to_have_text("00:04.0 \N{EN DASH} 00:06.5")
    await expect(card.locator(".bars .share")).to_have_text(["91 %", "3 %", "3 %", "3 %"])
    await expect(card.locator(".channels")).to_contain_text("Sound alone:  neutral 55 %")
    await expect(card.locator(".channels")).to_contain_text("Words alone:  angry 97 %")
    await expect(watched.cards).to_have_count(1)


async def test_a_bar_is_as_long_as_its_probability(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish(emotion(1, probabilities={"angry": 0.5, "happy": 0.25, "sad": 0.25, "neutral": 0.0}))
    await expect(watched.card(1)).to_be_visible()
    lengths = (
        await watched.card(1)
        .locator(".track i")
        .evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    )
    assert lengths == [50, 25, 25, 0]


async def test_details_hold_every_channel_and_the_timing(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish(emotion(1))
    details = watched.card(1).locator("details")
    await expect(details).to_be_visible()
    await watched.page.keyboard.press("Tab")
    await expect(watched.page.get_by_role("link", name="Skip to the utterances")).to_be_focused()
    await watched.page.keyboard.press("Enter")
    await watched.page.keyboard.press("Tab")  # the first thing to operate in the list
    show = watched.card(1).get_by_role("button", name="Show the utterance at 00:04.0 on the timeline")
    await expect(show).to_be_focused()
    await watched.page.keyboard.press("Tab")
    await watched.page.keyboard.press("Enter")
    await expect(details).to_have_attribute("open", "")
    await expect(details.locator("tbody tr").first).to_have_text("angry91 %15 %97 %")
    await expect(details).to_contain_text("661 ms from the last sound")


async def test_no_words_and_reasons_for_doubt_are_readable(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    doubts = ["no_text", "too_short", "low_snr", "modalities_disagree", "low_confidence", "full_moon"]
    server.publish(emotion(1, text="", text_only=None, uncertain=doubts))
    await expect(watched.card(1).locator(".words")).to_contain_text("no words")
    await expect(watched.card(1).locator(".channels")).to_have_count(0)
    await expect(watched.card(1).locator(".chip.doubt")).to_have_text(
        [
            "No words understood",
            "Very short",
            "Noisy sound",
            "Sound and words disagree",
            "Not sure",
            "Full moon",
        ]
    )


async def test_what_was_heard_is_never_markup(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    label = '"><img src=x onerror=alert(1)>'
    server.publish(emotion(1, text=hostile, uncertain=[hostile], language=hostile, reason=hostile))
    server.publish(
        emotion(2, label=label, probabilities={label: 1.0}, audio_only={label: 1.0}, text_only=None)
    )
    server.publish({"type": "error", "code": hostile, "message": hostile, "fatal": False})
    server.publish({"type": "dropped", "ms": 10, "why": hostile})
    await expect(watched.card(1).locator(".words")).to_have_text(hostile)
    await expect(watched.card(2)).to_have_attribute("data-label", label)
    await expect(watched.page.locator(".notice")).to_have_count(2)
    assert await watched.page.locator("main img, main script").count() == 0
    assert await watched.page.title() == "emostream"
    assert watched.complaints == []


async def test_errors_and_losses_stand_in_the_list(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish({"type": "dropped", "ms": 1240, "why": "too slow"})
    server.publish({"type": "error", "code": "model_error", "message": "got NaN", "fatal": False})
    notices = watched.page.locator(".notice")
    await expect(notices).to_have_text(
        ["An error (model_error): got NaN", "1.2 s of sound was not analysed: too slow"]
    )
    await watched.expect_state("live")


async def test_an_utterance_that_failed_is_no_longer_awaited(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish({"type": "speech_started", "utterance": 1, "start_ms": 0})
    await expect(watched.card(1)).to_have_count(1)
    server.publish(
        {"type": "error", "code": "analysis_failed", "message": "got NaN", "fatal": False, "utterance": 1}
    )
    await expect(watched.card(1)).to_have_count(0)


async def test_what_the_page_does_not_know_is_ignored(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    for text in ("{", "[]", "null", '{"type": 7}', '{"type": "weather"}', '{"type": "constructor"}'):
        server.say(text)
    server.say(json.dumps({"type": "emotion", "seq": 1}))
    server.publish(emotion(1, smell="roses"))
    await expect(watched.card(1)).to_have_attribute("data-final", "true")
    await expect(watched.cards).to_have_count(1)
    assert watched.complaints == []


async def test_finals_are_read_out_and_the_past_is_not(server: PageServer, watched: Watched) -> None:
    server.publish(emotion(1, "sad", "long ago"))
    await watched.open(server)
    await expect(watched.card(1)).to_be_visible()
    announcer = watched.page.locator("#announcer")
    await expect(announcer).to_have_attribute("aria-live", "polite")
    server.publish(speech_started(2))
    await expect(watched.card(2)).to_be_visible()
    await expect(announcer).to_be_empty()
    server.publish(emotion(2, "happy", "we won"))
    await expect(announcer).to_have_text("Happy, 91 %: we won")


async def test_a_cut_connection_comes_back_without_duplicates(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish(emotion(1))
    server.publish({"type": "dropped", "ms": 10, "why": "too slow"})
    server.publish(speech_started(2))
    await expect(watched.card(2)).to_be_visible()
    await server.close_sockets(4413)
    await watched.expect_state("reconnecting")
    server.publish(emotion(2, "happy"))
    await watched.expect_state("live")
    await expect(watched.card(2)).to_have_attribute("data-label", "happy")
    await expect(watched.cards).to_have_count(2)
    await expect(watched.page.locator(".notice")).to_have_count(1)
    await expect(watched.page.locator(".divider")).to_have_count(0)
    assert len(server.watched) == 2


async def test_a_restarted_server_is_found_again_behind_a_divider(
    server: PageServer, watched: Watched
) -> None:
    await watched.open(server)
    server.publish(emotion(1, "angry"))
    server.publish(speech_started(2))
    await expect(watched.card(2)).to_be_visible()
    await server.stop()
    await watched.expect_state("reconnecting")
    await expect(watched.page.locator("#connection-text")).to_contain_text("Reconnecting in")
    await server.restart("s2")
    await watched.expect_state("live")
    server.publish(emotion(1, "happy"))
    await expect(watched.page.locator('article[data-label="happy"]')).to_be_visible()
    rows = watched.page.locator("#utterances > li")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0).locator("article")).to_have_attribute("data-label", "happy")
    await expect(rows.nth(1)).to_have_class("divider")
    await expect(rows.nth(2).locator("article")).to_have_attribute("data-label", "angry")


async def test_the_end_is_said_and_can_be_asked_again(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish(emotion(1))
    totals = {"audio_ms": 33_500, "utterances": 1, "dropped_ms": 0}
    server.publish({"type": "closed", "reason": "end_of_stream", "totals": totals})
    await server.close_sockets(1000)
    await watched.expect_state("ended")
    await expect(watched.page.locator(".notice")).to_have_text(
        "The stream has ended. 1 utterance in 00:33.5 of sound."
    )
    await watched.page.get_by_role("button", name="Connect now").click()
    await watched.expect_state("live")
    await expect(watched.cards).to_have_count(1)
    await expect(watched.page.locator(".notice")).to_have_count(1)


async def test_a_server_that_shuts_down_is_waited_for(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish({"type": "closed", "reason": "shutting_down", "totals": None})
    await server.close_sockets(1001)
    await watched.expect_state("reconnecting")


async def test_a_refusal_is_said_and_not_repeated(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    server.publish({"type": "error", "code": "unauthorized", "message": "a token is needed", "fatal": True})
    await server.close_sockets(4401)
    await watched.expect_state("refused")
    await expect(watched.page.locator("#connection-text")).to_have_text("Refused: a token is needed")
    assert len(server.watched) == 1


async def test_no_stream_is_explained_until_there_is_one(watched: Watched) -> None:
    async with PageServer(streams=[]) as server:
        await watched.open(server, "waiting")
        for words in ("emostream demo", "emostream live", f"ws://{server.url.split('/')[2]}/v1/stream"):
            await expect(watched.page.locator("#help")).to_contain_text(words)
        server.streams.append(STREAM)
        await watched.expect_state("live")
        await expect(watched.page.locator("#help")).to_be_hidden()
        assert watched.complaints == []


async def test_one_of_several_streams_is_chosen(watched: Watched) -> None:
    microphone = {"name": "live", "title": "Microphone", "note": ""}
    async with PageServer(streams=[STREAM, microphone]) as server:
        server.publish(emotion(1))
        await watched.open(server)
        await expect(watched.card(1)).to_be_visible()
        await watched.page.get_by_label("Stream", exact=True).select_option("live")
        await expect(watched.page.locator("#stream-title")).to_have_text("Microphone")
        await watched.expect_state("live")
        assert server.watched == ["demo", "live"]


async def test_five_hundred_utterances_keep_the_page_small(server: PageServer, watched: Watched) -> None:
    await watched.open(server)
    for utterance in range(1, 501):
        server.publish(speech_started(utterance))
        server.publish(emotion(utterance))
    await expect(watched.card(500)).to_have_attribute("data-final", "true")
    await expect(watched.cards).to_have_count(200)
    numbers = await watched.cards.evaluate_all("cards => cards.map(card => Number(card.dataset.utterance))")
    assert numbers == list(range(500, 300, -1))


async def test_nothing_is_asked_of_anybody_else_and_nothing_complains(
    server: PageServer, watched: Watched
) -> None:
    await watched.open(server)
    server.publish(emotion(1))
    await expect(watched.card(1)).to_be_visible()
    host = server.url.split("/")[2]
    assert {url.split("/")[2] for url in watched.requests} == {host}
    assert watched.complaints == []
    static = {path.lstrip("/") or "index.html" for path in server.paths if not path.startswith("/v1/")}
    assert all((DEMO / name).is_file() for name in static), static
