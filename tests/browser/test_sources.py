"""The page's own sources: this browser's microphone and recordings, against the real server with models that
answer by the length of the audio.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest_asyncio
from playwright.async_api import FilePayload, Page, expect

from emostream.streamer.protocol import messages
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.browser import BROWSER_TEST, DemoPage, Pages
from tests.support.fakes import AdaptiveRecognizer, FakeTranscriber, silence, voice
from tests.support.serving import SPEECH, serving, stream
from tests.support.wav_file import wav_bytes

pytestmark = BROWSER_TEST


@pytest_asyncio.fixture(loop_scope="session")
async def microphone_app(pages: Pages) -> DemoPage:
    """A page that may use the microphone."""
    return DemoPage(await pages.open(permissions=["microphone"]))


async def select_source(page: Page, source: str) -> None:
    await page.get_by_role("radio", name=source).check()


async def select_file(page: Page, name: str, content: bytes) -> None:
    file: FilePayload = {"name": name, "mimeType": "audio/wav", "buffer": content}
    await page.locator("#recording-file").set_input_files(files=[file])


async def shown_words(page: Page) -> list[str]:
    return await page.locator(".final .words").all_text_contents()


# The microphone -----------------------------------------------------------------------------------


async def test_the_microphone_is_analyzed_metered_and_stopped(microphone_app: DemoPage) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        app = microphone_app
        page = app.page
        await app.open(server, "waiting")
        await page.get_by_role("button", name="Use my microphone").click()
        await expect(page.get_by_role("radio", name="Microphone")).to_be_checked()
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        await expect(app.card(2)).to_have_attribute("data-final", "true")
        await expect(app.card(2).locator(".words")).to_have_text(re.compile(r"^\d+ milliseconds$"))
        await expect(page.locator("#stream-note")).to_have_text("The microphone of this browser")
        levels = await page.evaluate(
            """() => new Promise((resolve) => {
                const levels = [];
                const read = () => (levels.push(document.getElementById("meter").value),
                    levels.length < 90 ? requestAnimationFrame(read) : resolve(levels));
                read();
            })"""
        )
        assert max(levels) > min(levels) + 6  # speech and pauses
        devices = page.get_by_label("Device").locator("option")
        assert (await devices.all_text_contents())[0] == "System default"
        assert await devices.count() > 1  # named once the page has permission
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")
        await expect(page.locator(".notice").first).to_contain_text("The stream has ended.")
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()
        await expect(page.locator("#meter")).to_be_hidden()
        assert app.errors == []
        # It can be started again, with an empty list.
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        await expect(page.locator(".notice")).to_have_count(0)


async def test_the_selected_device_is_opened(microphone_app: DemoPage) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        app = microphone_app
        page = app.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            window.requested = [];
            navigator.mediaDevices.getUserMedia = (wanted) => {
                requested.push(wanted.audio.deviceId);
                return open(wanted);
            };"""
        )
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")
        device = await page.get_by_label("Device").locator("option").nth(1).get_attribute("value")
        await page.get_by_label("Device").select_option(device)
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        assert await page.evaluate("requested") == [None, {"exact": device}]


async def test_a_voice_is_learned_used_and_forgotten(microphone_app: DemoPage) -> None:
    app, page = microphone_app, microphone_app.page
    async with serving(recognizer=AdaptiveRecognizer()) as server:
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Learn my voice").click()
        await app.expect_state("live")
        await expect(page.locator("#voice-words")).to_have_text("Speak as you usually do, for 15 seconds.")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "ended", timeout=60_000)
        await expect(page.locator("#voice-words")).to_have_text(
            re.compile(r"^This browser knows your voice: \d+ utterances\.$")
        )
        known = await page.evaluate("JSON.parse(localStorage.getItem('emostream.voice')).utterances")
        assert known >= 2

        await page.get_by_role("button", name="Start the microphone").click()
        await expect(app.card(1)).to_have_attribute("data-final", "true")
        await expect(app.card(1).locator("details")).to_contain_text(
            f"judged against {known} earlier utterances"
        )
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")
        await page.get_by_role("button", name="Forget it").click()
        await expect(page.locator("#voice-words")).to_have_text("")
        assert await page.evaluate("localStorage.length") == 0
    assert app.errors == []


async def test_a_refusal_is_explained_and_the_stream_stays(app: DemoPage) -> None:
    demo = PublishedStream("demo", "A recording")
    async with serving(streams=[demo]) as server:
        page = app.page
        await app.open(server)
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(
            page.get_by_role("alert").filter(has_text="Allow it next to the address")
        ).to_be_visible()
        await app.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A recording")
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()


async def test_a_page_in_an_insecure_context_warns_before_the_microphone_is_used(app: DemoPage) -> None:
    page = app.page
    async with serving(allowed_hosts=("studio.example",)) as server:
        await page.goto(server.url.replace("127.0.0.1", "studio.example"))
        await select_source(page, "Microphone")
        await expect(
            page.get_by_role("alert").filter(has_text="over https or from localhost")
        ).to_be_visible()


async def test_a_muted_microphone_is_detected(pages: Pages, tmp_path: Path) -> None:
    path = tmp_path / "mute.wav"
    path.write_bytes(wav_bytes(np.zeros(48_000, np.float32), 48_000))
    mute = f"--use-file-for-fake-audio-capture={path}"
    app = DemoPage(await pages.open(mute, permissions=["microphone"]))
    async with serving() as server:
        await app.open(server, "waiting")
        await select_source(app.page, "Microphone")
        await app.page.get_by_role("button", name="Start the microphone").click()
        await expect(app.page.locator("#meter-words")).to_contain_text("is it muted?")


async def test_a_break_is_bridged_and_reported(microphone_app: DemoPage) -> None:
    """The session continues where it was; nothing is shown twice."""
    async with serving(transcriber=FakeTranscriber(), allowed_hosts=("127.0.0.1",)) as server:
        app = microphone_app
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(app.card(1)).to_have_attribute("data-final", "true")
        for socket in list(server._listener.connections):  # type: ignore[union-attr]
            socket.transport.abort()
        await expect(page.locator(".notice")).to_have_text(
            "The connection broke and was resumed: nothing is lost."
        )
        await expect(app.card(3)).to_have_attribute("data-final", "true")
        numbers = await app.cards.evaluate_all("cards => cards.map((card) => Number(card.dataset.utterance))")
        assert sorted(numbers, reverse=True) == numbers
        assert len(set(numbers)) == len(numbers)


# Recordings ---------------------------------------------------------------------------------------

LONG: Final = np.concatenate([np.tile(SPEECH, 3), silence(300)])


async def test_a_selected_recording_gets_the_results_of_any_client(app: DemoPage) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        seen = await stream(server, LONG)
        expected = [event for event in seen if isinstance(event, messages.Emotion) and event.final]
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Recording")
        await select_file(page, "talk.wav", wav_bytes(LONG))
        await app.expect_state("ended")
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await expect(app.cards).to_have_count(len(expected))
        assert await shown_words(page) == [final.text for final in reversed(expected)]
        times = await page.locator(".final .time").all_text_contents()
        assert times[-1] == "00:00.3 \N{EN DASH} 00:01.3"
        await expect(page.locator("#recording-progress-line")).to_be_hidden()
        assert app.errors == []


DROP = """async ({ name, data }) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name, { type: "audio/wav" }));
    for (const type of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(
            new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


async def test_a_dropped_recording_replaces_the_stream(app: DemoPage) -> None:
    demo = PublishedStream("demo", "A recording")
    async with serving(streams=[demo], transcriber=FakeTranscriber()) as server:
        page = app.page
        await app.open(server)
        data = base64.b64encode(wav_bytes(SPEECH)).decode()
        await page.evaluate(DROP, {"name": "drop.wav", "data": data})
        await expect(page.get_by_role("radio", name="Recording")).to_be_checked()
        await expect(page.locator("#stream-title")).to_have_text("drop.wav")
        await app.expect_state("ended")
        await expect(app.cards).to_have_count(2)
        # And back to the server's stream, from its beginning.
        await select_source(page, "Server")
        await page.get_by_role("button", name="Show the server's streams").click()
        await app.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A recording")
        await expect(app.cards).to_have_count(0)


async def test_an_undecodable_file_is_reported(app: DemoPage) -> None:
    async with serving() as server:
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Recording")
        await select_file(page, "diary.mp3", b"dear diary " * 100)
        error = page.get_by_role("alert").filter(has_text="that this browser can decode, got diary.mp3")
        await expect(error).to_be_visible()
        await app.expect_state("waiting")


async def test_a_recording_in_real_time_can_be_stopped_in_the_middle(app: DemoPage) -> None:
    sound = np.concatenate([SPEECH, voice(60_000)])
    async with serving(transcriber=FakeTranscriber()) as server:
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Recording")
        await page.get_by_label("Pace").select_option("realtime")
        await select_file(page, "talk.wav", wav_bytes(sound))
        await expect(app.card(2)).to_have_attribute("data-final", "true")
        await expect(page.locator("#recording-progress-words")).to_have_text(re.compile(r"^00:0\d of 01:03$"))
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")
        await expect(page.locator(".notice").first).to_contain_text("utterances in 00:0")


async def test_a_token_opens_the_page_and_its_microphone(microphone_app: DemoPage, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("open sesame, 0123456789\n")
    options: dict[str, Any] = {"token_file": str(tokens)}
    async with serving(transcriber=FakeTranscriber(), **options) as server:
        app = microphone_app
        page = app.page
        await app.open(server, "refused")
        await page.get_by_label("Token", exact=True).fill("open sesame, 0123456789")
        await page.keyboard.press("Enter")
        await app.expect_state("waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        await expect(app.card(1)).to_have_attribute("data-final", "true")


async def test_a_restarted_server_gets_the_audio_without_finals(microphone_app: DemoPage) -> None:
    """The page reports the lost session and continues automatically, and its clock continues."""
    app = microphone_app
    page = app.page
    async with serving(transcriber=FakeTranscriber()) as server:
        port = server.port
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(app.card(2)).to_have_attribute("data-final", "true")
        for socket in list(server._listener.connections):  # type: ignore[union-attr]
            socket.transport.abort()  # like a server that is killed
    await app.expect_state("reconnecting")
    async with serving(transcriber=FakeTranscriber(), port=port):
        await app.expect_state("live")
        await expect(page.locator(".notice").filter(has_text="The server lost this session")).to_be_visible()
        await expect(page.locator(".divider")).to_have_text("A new session began")
        await expect(page.locator("#utterances > li").first.locator(".final")).to_be_visible()
        times = await page.locator(".final .time").all_inner_texts()
        assert times == sorted(times, reverse=True)
        assert len(set(times)) == len(times)
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")


# Between sources ----------------------------------------------------------------------------------


async def test_a_session_continues_until_another_source_has_audio(app: DemoPage) -> None:
    """A microphone that is refused and an undecodable file change nothing."""
    sound = voice(60_000)
    async with serving(transcriber=FakeTranscriber()) as server:
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Recording")
        await page.get_by_label("Pace").select_option("realtime")
        await select_file(page, "talk.wav", wav_bytes(sound))
        await app.expect_state("live")
        await select_file(page, "diary.wav", b"dear diary " * 100)
        await expect(page.get_by_role("alert").filter(has_text="got diary.wav")).to_be_visible()
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(page.get_by_role("alert").filter(has_text="Allow it next to")).to_be_visible()
        await app.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await select_source(page, "Recording")
        await page.get_by_role("button", name="Stop").click()
        await app.expect_state("ended")


async def test_looking_at_the_other_sources_opens_no_connection(app: DemoPage) -> None:
    streams = [PublishedStream("a", "First"), PublishedStream("b", "Second")]
    async with serving(streams=streams) as server:
        page = app.page
        await app.open(server)
        await page.get_by_label("Stream", exact=True).select_option("b")
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await app.expect_state("live")
        sockets = len([url for url in app.requests if url.startswith("ws")])
        for source in ("Microphone", "Recording", "Server"):
            await select_source(page, source)
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await app.expect_state("live")
        assert len([url for url in app.requests if url.startswith("ws")]) == sockets
        # And after a recording it is the stream that was shown before.
        await select_source(page, "Recording")
        await select_file(page, "talk.wav", wav_bytes(SPEECH))
        await app.expect_state("ended")
        await select_source(page, "Server")
        await page.get_by_role("button", name="Show the server's streams").click()
        await app.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("Second")
        await expect(page.get_by_role("button", name="Show the server's streams")).to_be_hidden()


async def test_an_unplugged_microphone_ends_the_session_with_its_last_results(
    microphone_app: DemoPage,
) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        app = microphone_app
        page = app.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => (window.granted = await open(wanted));"""
        )
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(app.card(1)).to_have_attribute("data-final", "true")
        await page.evaluate("granted.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        await app.expect_state("ended")
        await expect(page.get_by_role("alert").filter(has_text="was it unplugged?")).to_be_visible()
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()
        await expect(page.locator(".notice").first).to_contain_text("The stream has ended.")


async def test_a_pending_permission_request_can_be_cancelled(microphone_app: DemoPage) -> None:
    async with serving() as server:
        app = microphone_app
        page = app.page
        await page.add_init_script(
            """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            let answer;
            const answered = new Promise((resolve) => (answer = resolve));
            window.grant = () => answer();
            navigator.mediaDevices.getUserMedia = async (wanted) => {
                await answered;
                return (window.granted = await open(wanted));
            };"""
        )
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await expect(page.locator("#meter-words")).to_have_text(
            "The browser asks for permission to use the microphone."
        )
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()
        await expect(page.locator("#microphone-error")).to_be_empty()
        # A late permission closes the microphone again.
        await page.evaluate("grant()")
        handle = await page.evaluate_handle(
            """async () => {
                while (!window.granted) await new Promise((next) => requestAnimationFrame(next));
                while (granted.getTracks().some(({ readyState }) => readyState === "live")) {
                    await new Promise((next) => requestAnimationFrame(next));
                }
                return granted.getTracks().length;
            }"""
        )
        assert await handle.json_value() == 1
        await app.expect_state("waiting")


async def test_a_page_restored_from_the_history_shows_that_it_stopped(microphone_app: DemoPage) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        app = microphone_app
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Microphone")
        await page.get_by_role("button", name="Start the microphone").click()
        await app.expect_state("live")
        await page.evaluate(
            """for (const type of ["pagehide", "pageshow"]) {
                dispatchEvent(new PageTransitionEvent(type, { persisted: true }));
            }"""
        )
        await app.expect_state("stopped")
        await expect(page.get_by_role("button", name="Start the microphone")).to_be_enabled()


async def test_the_second_of_two_recordings_replaces_the_first(app: DemoPage) -> None:
    async with serving(transcriber=FakeTranscriber()) as server:
        page = app.page
        await app.open(server, "waiting")
        await select_source(page, "Recording")
        await page.get_by_label("Pace").select_option("realtime")
        await select_file(page, "long.wav", wav_bytes(np.zeros(16_000 * 60, np.float32)))
        await select_file(page, "short.wav", wav_bytes(np.concatenate([SPEECH, silence(3_000)])))
        await expect(page.locator("#recording-progress-words")).to_have_text(re.compile(r" of 00:0[67]$"))
        await expect(page.locator("#stream-title")).to_have_text("short.wav")
        await app.expect_state("ended")


async def test_a_late_token_shows_the_server_again(app: DemoPage, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("open sesame, 0123456789\n")
    demo = PublishedStream("demo", "A tape")
    options: dict[str, Any] = {"token_file": str(tmp_path / "tokens"), "streams": [demo]}
    async with serving(**options) as server:
        page = app.page
        await app.open(server, "refused")
        await select_source(page, "Recording")
        await select_file(page, "talk.wav", wav_bytes(SPEECH))
        await expect(page.locator("#stream-title")).to_have_text("talk.wav")
        await app.expect_state("refused")
        await page.get_by_label("Token", exact=True).fill("open sesame, 0123456789")
        await page.keyboard.press("Enter")
        await app.expect_state("live")
        await expect(page.locator("#stream-title")).to_have_text("A tape")
