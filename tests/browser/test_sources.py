"""The page's own sound: this browser's microphone and recordings, against the real server with models that
answer by the length of what they hear.
"""

from __future__ import annotations

import base64
import io
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from playwright.async_api import Browser, FilePayload, Page, expect

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import Watched, chromium, needs_chromium
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.serving import SPEECH, serving, stream
from tests.unit.streamer.pipeline.test_session import finals

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

FAKE_MICROPHONE: Final = "--use-fake-device-for-media-stream"
LEAVE: Final = "--use-fake-ui-for-media-stream"


def wav(sound: np.ndarray, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(encode_pcm(sound, "pcm_s16le"))
    return file.getvalue()


@asynccontextmanager
async def speaking(tmp_path: Path, *flags: str) -> AsyncIterator[Browser]:
    """A browser whose microphone plays SPEECH again and again, at 48 kHz."""
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(np.repeat(SPEECH, 3), 48_000))
    async with chromium(FAKE_MICROPHONE, LEAVE, f"--use-file-for-fake-audio-capture={path}", *flags) as found:
        yield found


async def choose(page: Page, source: str) -> None:
    await page.get_by_role("radio", name=source).check()


async def give(page: Page, name: str, content: bytes) -> None:
    """Choose this file."""
    file: FilePayload = {"name": name, "mimeType": "audio/wav", "buffer": content}
    await page.locator("#recording-file").set_input_files(files=[file])


async def said(page: Page) -> list[str]:
    return await page.locator(".final .words").all_text_contents()


# The microphone -----------------------------------------------------------------------------------


async def test_the_microphone_is_heard_metered_drawn_and_stopped(tmp_path: Path) -> None:
    async with serving(transcriber=FakeTranscriber()) as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await page.get_by_role("button", name="Use my microphone").click()
        await expect(page.get_by_role("radio", name="Microphone")).to_be_checked()
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        await expect(watched.card(2)).to_have_attribute("data-final", "true")
        await expect(watched.card(2).locator(".words")).to_have_text(re.compile(r"^\d+ milliseconds$"))
        await expect(page.locator("#stream-note")).to_have_text("The microphone of this browser")
        levels = await page.evaluate(
            """() => new Promise((resolve) => {
                const seen = [];
                const look = () => (seen.push(document.getElementById("meter").value),
                    seen.length < 90 ? requestAnimationFrame(look) : resolve(seen));
                look();
            })"""
        )
        assert max(levels) > min(levels) + 6  # it speaks and it pauses
        devices = page.get_by_label("Device").locator("option")
        assert (await devices.all_text_contents())[0] == "The system's default"
        assert await devices.count() > 1  # named once the page may listen
        await page.get_by_role("button", name="Stop").click()
        await watched.expect_state("ended")
        await expect(page.locator(".notice").first).to_contain_text("The stream has ended.")
        await expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        await expect(page.locator("#meter")).to_be_hidden()
        assert watched.complaints == []
        # It goes on as a new story.
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        await expect(page.locator(".notice")).to_have_count(0)


async def test_a_chosen_device_is_the_one_that_is_opened(tmp_path: Path) -> None:
    async with serving(transcriber=FakeTranscriber()) as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            window.asked = [];
            navigator.mediaDevices.getUserMedia = (wanted) => {
                asked.push(wanted.audio.deviceId);
                return open(wanted);
            };"""
        )
        await watched.open(server, "waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        await page.get_by_role("button", name="Stop").click()
        await watched.expect_state("ended")
        device = await page.get_by_label("Device").locator("option").nth(1).get_attribute("value")
        await page.get_by_label("Device").select_option(device)
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        assert await page.evaluate("asked") == [None, {"exact": device}]


async def test_a_refusal_is_said_in_words_and_what_was_shown_goes_on() -> None:
    demo = PublishedStream("demo", "A recording")
    async with serving(streams=[demo]) as server, chromium(FAKE_MICROPHONE) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server)
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await expect(page.get_by_role("alert").filter(has_text="Allow it beside the address")).to_be_visible()
        await watched.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A recording")
        await expect(page.get_by_role("button", name="Start listening")).to_be_enabled()


async def test_a_page_that_is_not_safe_says_so_before_anybody_asks() -> None:
    flag = "--host-resolver-rules=MAP studio.example 127.0.0.1"
    async with serving(allowed_hosts=("studio.example",)) as server, chromium(flag) as browser:
        page = await browser.new_page()
        await page.goto(server.url.replace("127.0.0.1", "studio.example"))
        await choose(page, "Microphone")
        await expect(
            page.get_by_role("alert").filter(has_text="over https or from localhost")
        ).to_be_visible()


async def test_a_muted_microphone_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "mute.wav"
    path.write_bytes(wav(np.zeros(48_000, np.float32), 48_000))
    mute = f"--use-file-for-fake-audio-capture={path}"
    async with serving() as server, chromium(FAKE_MICROPHONE, LEAVE, mute) as browser:
        watched = Watched(await browser.new_page())
        await watched.open(server, "waiting")
        await choose(watched.page, "Microphone")
        await watched.page.get_by_role("button", name="Start listening").click()
        await expect(watched.page.locator("#meter-words")).to_contain_text("is it muted?")


async def test_a_cut_is_bridged_and_said(tmp_path: Path) -> None:
    """The session goes on where it was; nothing comes twice."""
    async with (
        serving(transcriber=FakeTranscriber(), allowed_hosts=("127.0.0.1",)) as server,
        speaking(tmp_path) as browser,
    ):
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await expect(watched.card(1)).to_have_attribute("data-final", "true")
        for socket in list(server._listener.connections):  # type: ignore[union-attr]
            socket.transport.abort()
        await expect(page.locator(".notice")).to_have_text(
            "The connection was broken and is back: nothing is lost."
        )
        await expect(watched.card(3)).to_have_attribute("data-final", "true")
        numbers = await watched.cards.evaluate_all(
            "cards => cards.map((one) => Number(one.dataset.utterance))"
        )
        assert sorted(numbers, reverse=True) == numbers
        assert len(set(numbers)) == len(numbers)


# Recordings ---------------------------------------------------------------------------------------

LONG: Final = np.concatenate([np.tile(SPEECH, 3), silence(300)])


async def test_a_chosen_recording_is_judged_as_by_any_client() -> None:
    async with serving(transcriber=FakeTranscriber()) as server, chromium() as browser:
        expected = finals(await stream(server, LONG))
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Recording")
        await give(page, "talk.wav", wav(LONG))
        await watched.expect_state("ended")
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await expect(watched.cards).to_have_count(len(expected))
        assert await said(page) == [final.text for final in reversed(expected)]
        times = await page.locator(".final .time").all_text_contents()
        assert times[-1] == "00:00.3 \N{EN DASH} 00:01.3"
        await expect(page.locator("#recording-progress-line")).to_be_hidden()
        assert watched.complaints == []


DROP = """async ({ name, data }) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name, { type: "audio/wav" }));
    for (const type of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(
            new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


async def test_a_dropped_recording_takes_the_place_of_what_is_watched() -> None:
    demo = PublishedStream("demo", "A recording")
    async with serving(streams=[demo], transcriber=FakeTranscriber()) as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server)
        data = base64.b64encode(wav(SPEECH)).decode()
        await page.evaluate(DROP, {"name": "drop.wav", "data": data})
        await expect(page.get_by_role("radio", name="Recording")).to_be_checked()
        await expect(page.locator("#stream-title")).to_have_text("drop.wav")
        await watched.expect_state("ended")
        await expect(watched.cards).to_have_count(2)
        # And back to the server's stream, as if nothing had been.
        await choose(page, "Server")
        await page.get_by_role("button", name="Watch the server's streams").click()
        await watched.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A recording")
        await expect(watched.cards).to_have_count(0)


async def test_what_is_no_recording_is_said() -> None:
    async with serving() as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Recording")
        await give(page, "diary.mp3", b"dear diary " * 100)
        error = page.get_by_role("alert").filter(has_text="that this browser can decode, got diary.mp3")
        await expect(error).to_be_visible()
        await watched.expect_state("waiting")


async def test_at_the_pace_of_speech_it_can_be_stopped_in_the_middle() -> None:
    sound = np.concatenate([SPEECH, voice(60_000)])
    async with serving(transcriber=FakeTranscriber()) as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Recording")
        await page.get_by_label("Pace").select_option("spoken")
        await give(page, "talk.wav", wav(sound))
        await expect(watched.card(2)).to_have_attribute("data-final", "true")
        await expect(page.locator("#recording-progress-words")).to_have_text(re.compile(r"^00:0\d of 01:03$"))
        await page.get_by_role("button", name="Stop").click()
        await watched.expect_state("ended")
        await expect(page.locator(".notice").first).to_contain_text("utterances in 00:0")


async def test_a_token_opens_the_page_and_its_microphone(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("open sesame, 0123456789\n")
    options: dict[str, Any] = {"token_file": str(tokens)}
    async with serving(transcriber=FakeTranscriber(), **options) as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "refused")
        await page.get_by_label("Token", exact=True).fill("open sesame, 0123456789")
        await page.keyboard.press("Enter")
        await watched.expect_state("waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        await expect(watched.card(1)).to_have_attribute("data-final", "true")


async def test_a_restarted_server_gets_what_the_old_one_did_not_judge(tmp_path: Path) -> None:
    """It says that the session is gone, goes on by itself, and the page's clock goes on."""
    async with speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        async with serving(transcriber=FakeTranscriber()) as server:
            port = server.port
            await watched.open(server, "waiting")
            await choose(page, "Microphone")
            await page.get_by_role("button", name="Start listening").click()
            await expect(watched.card(2)).to_have_attribute("data-final", "true")
            for socket in list(server._listener.connections):  # type: ignore[union-attr]
                socket.transport.abort()  # as a server that is killed
        await watched.expect_state("reconnecting")
        async with serving(transcriber=FakeTranscriber(), port=port):
            await watched.expect_state("live")
            await expect(
                page.locator(".notice").filter(has_text="The server lost this session")
            ).to_be_visible()
            await expect(page.locator(".divider")).to_have_text("A new session began")
            await expect(page.locator("#utterances > li").first.locator(".final")).to_be_visible()
            times = await page.locator(".final .time").all_inner_texts()
            assert times == sorted(times, reverse=True)
            assert len(set(times)) == len(times)
            await page.get_by_role("button", name="Stop").click()
            await watched.expect_state("ended")


# Between sources ----------------------------------------------------------------------------------


async def test_what_is_heard_goes_on_until_there_is_something_else_to_hear() -> None:
    """A microphone that is refused and a file that is none change nothing."""
    sound = np.concatenate([voice(60_000)])
    async with serving(transcriber=FakeTranscriber()) as server, chromium(FAKE_MICROPHONE) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Recording")
        await page.get_by_label("Pace").select_option("spoken")
        await give(page, "talk.wav", wav(sound))
        await watched.expect_state("live")
        await give(page, "diary.wav", b"dear diary " * 100)
        await expect(page.get_by_role("alert").filter(has_text="got diary.wav")).to_be_visible()
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await expect(page.get_by_role("alert").filter(has_text="Allow it beside")).to_be_visible()
        await watched.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await choose(page, "Recording")
        await page.get_by_role("button", name="Stop").click()
        await watched.expect_state("ended")


async def test_looking_at_the_other_sources_costs_nothing() -> None:
    streams = [PublishedStream("a", "First"), PublishedStream("b", "Second")]
    async with serving(streams=streams) as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server)
        await page.get_by_label("Stream", exact=True).select_option("b")
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await watched.expect_state("live")
        sockets = len([url for url in watched.requests if url.startswith("ws")])
        for source in ("Microphone", "Recording", "Server"):
            await choose(page, source)
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await watched.expect_state("live")
        assert len([url for url in watched.requests if url.startswith("ws")]) == sockets
        # And behind a recording it is the stream that was watched before.
        await choose(page, "Recording")
        await give(page, "talk.wav", wav(SPEECH))
        await watched.expect_state("ended")
        await choose(page, "Server")
        await page.get_by_role("button", name="Watch the server's streams").click()
        await watched.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await expect(page.get_by_role("button", name="Watch the server's streams")).to_be_hidden()


async def test_an_unplugged_microphone_ends_the_session_with_its_last_words(tmp_path: Path) -> None:
    async with serving(transcriber=FakeTranscriber()) as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => (window.given = await open(wanted));"""
        )
        await watched.open(server, "waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await expect(watched.card(1)).to_have_attribute("data-final", "true")
        await page.evaluate("given.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        await watched.expect_state("ended")
        await expect(page.get_by_role("alert").filter(has_text="was it unplugged?")).to_be_visible()
        await expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        await expect(page.locator(".notice").first).to_contain_text("The stream has ended.")


async def test_a_question_that_nobody_answers_can_be_taken_back(tmp_path: Path) -> None:
    async with serving() as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            let answer;
            const answered = new Promise((resolve) => (answer = resolve));
            window.sayYes = () => answer();
            navigator.mediaDevices.getUserMedia = async (wanted) => {
                await answered;
                return (window.given = await open(wanted));
            };"""
        )
        await watched.open(server, "waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await expect(page.locator("#meter-words")).to_have_text(
            "The browser asks whether this page may listen."
        )
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        await expect(page.locator("#microphone-error")).to_be_empty()
        # A late yes turns the microphone off again.
        await page.evaluate("sayYes()")
        handle = await page.evaluate_handle(
            """async () => {
                while (!window.given) await new Promise((next) => requestAnimationFrame(next));
                while (given.getTracks().some(({ readyState }) => readyState === "live")) {
                    await new Promise((next) => requestAnimationFrame(next));
                }
                return given.getTracks().length;
            }"""
        )
        assert await handle.json_value() == 1
        await watched.expect_state("waiting")


async def test_a_page_that_was_left_and_is_come_back_to_says_that_it_stopped(tmp_path: Path) -> None:
    async with serving(transcriber=FakeTranscriber()) as server, speaking(tmp_path) as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Microphone")
        await page.get_by_role("button", name="Start listening").click()
        await watched.expect_state("live")
        await page.evaluate(
            """for (const type of ["pagehide", "pageshow"]) {
                dispatchEvent(new PageTransitionEvent(type, { persisted: true }));
            }"""
        )
        await watched.expect_state("stopped")
        await expect(page.get_by_role("button", name="Start listening")).to_be_enabled()


async def test_of_two_recordings_the_second_one_is_told(tmp_path: Path) -> None:
    async with serving(transcriber=FakeTranscriber()) as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "waiting")
        await choose(page, "Recording")
        await page.get_by_label("Pace").select_option("spoken")
        await give(page, "long.wav", wav(np.zeros(16_000 * 600, np.float32)))
        await give(page, "short.wav", wav(np.concatenate([SPEECH, silence(3_000)])))
        await expect(page.locator("#recording-progress-words")).to_have_text(re.compile(r" of 00:0[67]$"))
        await expect(page.locator("#stream-title")).to_have_text("short.wav")
        await watched.expect_state("ended")


async def test_a_token_that_comes_late_shows_the_server_again(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("open sesame, 0123456789\n")
    demo = PublishedStream("demo", "A tape")
    options: dict[str, Any] = {"token_file": str(tmp_path / "tokens"), "streams": [demo]}
    async with serving(**options) as server, chromium() as browser:
        watched = Watched(await browser.new_page())
        page = watched.page
        await watched.open(server, "refused")
        await choose(page, "Recording")
        await give(page, "talk.wav", wav(SPEECH))
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await watched.expect_state("refused")
        await page.get_by_label("Token", exact=True).fill("open sesame, 0123456789")
        await page.keyboard.press("Enter")
        await watched.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A tape")
