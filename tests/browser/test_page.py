"""The page in a real headless Chromium, against a scripted server under the strict content policy."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from tests.support.browser import BROWSER_TEST, DemoPage
from tests.support.page_server import DEMO, STREAM, PageServer, emotion, speech_started

pytestmark = BROWSER_TEST


async def test_ready_shows_the_stream_its_note_and_the_models(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    await expect(app.page.locator("#connection-text")).to_have_text("Live")
    await expect(app.page.locator("#stream-title")).to_have_text(STREAM["title"])
    await expect(app.page.locator("#stream-note")).to_have_text(STREAM["note"])
    await expect(app.page.locator("#stream-choice")).to_be_hidden()
    for model in ("webrtc 2", "pocketsphinx en-us", "bundled 0.1", "cpu"):
        await expect(app.page.locator("#models")).to_contain_text(model)
    assert server.subscribed == ["demo"]
    assert server.subprotocols == ["emostream.v1"]


async def test_no_transcriber_is_shown_as_audio_only(server: PageServer, app: DemoPage) -> None:
    server.asr = None
    await app.open(server)
    await expect(app.page.locator("#models")).to_contain_text("none: audio only")


async def test_the_place_of_the_transcribers_weights_is_shown(server: PageServer, app: DemoPage) -> None:
    server.asr, server.asr_source = "whisper base (int8, cpu)", "installed package"
    await app.open(server)
    await expect(app.page.locator("#models")).to_contain_text(
        "whisper base (int8, cpu), from the installed package"
    )


async def test_an_utterance_goes_from_speaking_to_interim_to_final(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    card = app.card(1)

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
    await expect(card.locator(".modalities")).to_contain_text("Voice alone:  neutral 55 %")
    await expect(card.locator(".modalities")).to_contain_text("Words alone:  angry 97 %")
    await expect(app.cards).to_have_count(1)


async def test_words_appear_during_the_utterance_and_nothing_moves_with_the_final(
    server: PageServer, app: DemoPage
) -> None:
    await app.open(server)
    server.publish(emotion(1))
    card = app.card(2)
    server.publish(speech_started(2))
    server.publish(emotion(2, "sad", "stop it you", final=False, reason="speaking", stable_chars=7))
    await expect(card.locator(".words")).to_have_text("stop it you")
    await expect(card.locator(".unstable")).to_have_text(" you")
    colours = await card.locator(".words").evaluate(
        "words => [words, words.firstElementChild].map(part => getComputedStyle(part).color)"
    )
    assert colours[0] != colours[1]
    await expect(app.page.locator("#announcer")).to_be_empty()

    server.publish(emotion(2, "sad", "stop it you broke", final=False, reason="speaking", stable_chars=11))
    await expect(card.locator(".unstable")).to_have_text(" broke")
    before = await card.bounding_box()
    server.publish(emotion(2, "sad", "stop it you broke"))
    await expect(card).to_have_attribute("data-final", "true")
    await expect(card.locator(".unstable")).to_have_count(0)
    assert await card.evaluate("card => card.getAnimations().length") == 0
    after = await card.bounding_box()
    assert before is not None
    assert after is not None
    assert after == pytest.approx(before, abs=1.0)


async def test_a_bar_is_as_long_as_its_probability(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1, probabilities={"angry": 0.5, "happy": 0.25, "sad": 0.25, "neutral": 0.0}))
    await expect(app.card(1)).to_be_visible()
    lengths = (
        await app.card(1)
        .locator(".track i")
        .evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    )
    assert lengths == [50, 25, 25, 0]


async def test_details_contain_every_modality_and_the_timing(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1))
    details = app.card(1).locator("details")
    await expect(details).to_be_visible()
    await app.page.keyboard.press("Tab")
    await expect(app.page.get_by_role("link", name="Skip to the utterances")).to_be_focused()
    await app.page.keyboard.press("Enter")
    await app.page.keyboard.press("Tab")  # the first control in the list
    show = app.card(1).get_by_role("button", name="Show the utterance at 00:04.0 on the timeline")
    await expect(show).to_be_focused()
    await app.page.keyboard.press("Tab")
    await app.page.keyboard.press("Enter")
    await expect(details).to_have_attribute("open", "")
    await expect(details.locator("tbody tr").first).to_have_text("angry91 %15 %97 %")
    await expect(details).to_contain_text("661 ms from the end of speech")


async def test_missing_words_and_uncertainties_are_shown_as_text(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    uncertainties = [
        "no_text",
        "unsupported_language",
        "too_short",
        "low_snr",
        "modalities_disagree",
        "low_confidence",
        "full_moon",
    ]
    server.publish(emotion(1, text="", text_only=None, uncertain=uncertainties))
    await expect(app.card(1).locator(".words")).to_contain_text("no words")
    await expect(app.card(1).locator(".modalities")).to_have_count(0)
    await expect(app.card(1).locator(".chip.uncertain")).to_have_text(
        [
            "No words recognized",
            "Words in another language: audio only",
            "Very short",
            "Noisy audio",
            "Audio and text disagree",
            "Low confidence",
            "Full moon",
        ]
    )


async def test_a_label_that_is_not_to_be_believed_is_grey(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1, label="angry"))
    server.publish(emotion(2, label="angry", reliable=False, baseline_utterances=7))
    await expect(app.card(2)).to_have_attribute("data-reliable", "false")

    async def colour(number: int) -> str:
        shape = app.card(number).locator("header .icon-body").first
        found: str = await shape.evaluate("element => getComputedStyle(element).fill")
        return found

    async def weight(number: int) -> str:
        found: str = (
            await app.card(number).locator("h3").evaluate("element => getComputedStyle(element).fontWeight")
        )
        return found

    assert await colour(1) != await colour(2)
    assert (await weight(1), await weight(2)) == ("650", "400")
    await expect(app.card(2).locator("details")).to_contain_text("judged against 7 earlier utterances")
    await expect(app.page.locator("#summary-facts")).to_contain_text(
        "The model knows this voice from7 utterances"
    )


async def test_text_from_the_server_is_never_markup(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    label = '"><img src=x onerror=alert(1)>'
    server.publish(emotion(1, text=hostile, uncertain=[hostile], language=hostile, reason=hostile))
    server.publish(
        emotion(2, label=label, probabilities={label: 1.0}, audio_only={label: 1.0}, text_only=None)
    )
    server.publish({"type": "error", "code": hostile, "message": hostile, "fatal": False})
    server.publish({"type": "dropped", "ms": 10, "reason": hostile})
    await expect(app.card(1).locator(".words")).to_have_text(hostile)
    await expect(app.card(2)).to_have_attribute("data-label", label)
    await expect(app.page.locator(".notice")).to_have_count(2)
    assert await app.page.locator("main img, main script").count() == 0
    assert await app.page.title() == "emostream"
    assert app.errors == []


async def test_errors_and_dropped_audio_are_in_the_list(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish({"type": "dropped", "ms": 1240, "reason": "too slow"})
    server.publish({"type": "error", "code": "model_error", "message": "got NaN", "fatal": False})
    notices = app.page.locator(".notice")
    await expect(notices).to_have_text(
        ["Error (model_error): got NaN", "1.2 s of audio was not analyzed: too slow"]
    )
    await app.expect_state("live")


async def test_a_failed_utterance_is_removed(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish({"type": "speech_started", "utterance": 1, "start_ms": 0})
    await expect(app.card(1)).to_have_count(1)
    server.publish(
        {"type": "error", "code": "analysis_failed", "message": "got NaN", "fatal": False, "utterance": 1}
    )
    await expect(app.card(1)).to_have_count(0)


async def test_unknown_messages_are_ignored(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    for text in ("{", "[]", "null", '{"type": 7}', '{"type": "weather"}', '{"type": "constructor"}'):
        server.send(text)
    server.send(json.dumps({"type": "emotion", "seq": 1}))
    server.publish(emotion(1, smell="roses"))
    await expect(app.card(1)).to_have_attribute("data-final", "true")
    await expect(app.cards).to_have_count(1)
    assert app.errors == []


async def test_new_finals_are_announced_and_past_ones_are_not(server: PageServer, app: DemoPage) -> None:
    server.publish(emotion(1, "sad", "long ago"))
    await app.open(server)
    await expect(app.card(1)).to_be_visible()
    announcer = app.page.locator("#announcer")
    await expect(announcer).to_have_attribute("aria-live", "polite")
    server.publish(speech_started(2))
    await expect(app.card(2)).to_be_visible()
    await expect(announcer).to_be_empty()
    server.publish(emotion(2, "happy", "we won"))
    await expect(announcer).to_have_text("Happy, 91 %: we won")


async def test_a_broken_connection_is_restored_without_duplicates(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1))
    server.publish({"type": "dropped", "ms": 10, "reason": "too slow"})
    server.publish(speech_started(2))
    await expect(app.card(2)).to_be_visible()
    await server.close_sockets(4413)
    await app.expect_state("reconnecting")
    server.publish(emotion(2, "happy"))
    await app.expect_state("live")
    await expect(app.card(2)).to_have_attribute("data-label", "happy")
    await expect(app.cards).to_have_count(2)
    await expect(app.page.locator(".notice")).to_have_count(1)
    await expect(app.page.locator(".divider")).to_have_count(0)
    assert len(server.subscribed) == 2


async def test_a_restarted_server_is_found_again_after_a_divider(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1, "angry"))
    server.publish(speech_started(2))
    await expect(app.card(2)).to_be_visible()
    await server.stop()
    await app.expect_state("reconnecting")
    await expect(app.page.locator("#connection-text")).to_contain_text("Reconnecting in")
    await server.restart("s2")
    await app.expect_state("live")
    server.publish(emotion(1, "happy"))
    await expect(app.page.locator('article[data-label="happy"]')).to_be_visible()
    rows = app.page.locator("#utterances > li")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0).locator("article")).to_have_attribute("data-label", "happy")
    await expect(rows.nth(1)).to_have_class("divider")
    await expect(rows.nth(2).locator("article")).to_have_attribute("data-label", "angry")


async def test_the_end_is_shown_and_the_stream_can_be_requested_again(
    server: PageServer, app: DemoPage
) -> None:
    await app.open(server)
    server.publish(emotion(1))
    totals = {"audio_ms": 33_500, "utterances": 1, "dropped_ms": 0}
    server.publish({"type": "closed", "reason": "end_of_stream", "totals": totals})
    await server.close_sockets(1000)
    await app.expect_state("ended")
    await expect(app.page.locator(".notice")).to_have_text(
        "The stream has ended. 1 utterance in 00:33.5 of audio."
    )
    await app.page.get_by_role("button", name="Connect now").click()
    await app.expect_state("live")
    await expect(app.cards).to_have_count(1)
    await expect(app.page.locator(".notice")).to_have_count(1)


async def test_a_server_that_shuts_down_is_waited_for(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish({"type": "closed", "reason": "shutting_down", "totals": None})
    await server.close_sockets(1001)
    await app.expect_state("reconnecting")


async def test_a_refusal_is_shown_and_the_request_not_repeated(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish({"type": "error", "code": "unauthorized", "message": "a token is needed", "fatal": True})
    await server.close_sockets(4401)
    await app.expect_state("refused")
    await expect(app.page.locator("#connection-text")).to_have_text("Refused: a token is needed")
    assert len(server.subscribed) == 1


async def test_no_stream_is_explained_until_there_is_one(app: DemoPage) -> None:
    async with PageServer(streams=[]) as server:
        await app.open(server, "waiting")
        for words in ("emostream demo", "emostream live", f"ws://{server.url.split('/')[2]}/v1/stream"):
            await expect(app.page.locator("#help")).to_contain_text(words)
        server.streams.append(STREAM)
        await app.expect_state("live")
        await expect(app.page.locator("#help")).to_be_hidden()
        assert app.errors == []


async def test_one_of_several_streams_is_selected(app: DemoPage) -> None:
    microphone = {"name": "live", "title": "Microphone", "note": ""}
    async with PageServer(streams=[STREAM, microphone]) as server:
        server.publish(emotion(1))
        await app.open(server)
        await expect(app.card(1)).to_be_visible()
        await app.page.get_by_label("Stream", exact=True).select_option("live")
        await expect(app.page.locator("#stream-title")).to_have_text("Microphone")
        await app.expect_state("live")
        assert server.subscribed == ["demo", "live"]


async def test_five_hundred_utterances_keep_the_page_small(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    for utterance in range(1, 501):
        server.publish(speech_started(utterance))
        server.publish(emotion(utterance))
    await expect(app.card(500)).to_have_attribute("data-final", "true", timeout=120_000)
    await expect(app.cards).to_have_count(200)
    numbers = await app.cards.evaluate_all("cards => cards.map(card => Number(card.dataset.utterance))")
    assert numbers == list(range(500, 300, -1))


async def test_no_other_host_is_contacted_and_nothing_goes_wrong(server: PageServer, app: DemoPage) -> None:
    await app.open(server)
    server.publish(emotion(1))
    await expect(app.card(1)).to_be_visible()
    host = server.url.split("/")[2]
    assert {url.split("/")[2] for url in app.requests} == {host}
    assert app.errors == []
    static = {path.lstrip("/") or "index.html" for path in server.paths if not path.startswith("/v1/")}
    assert all((DEMO / name).is_file() for name in static), static
