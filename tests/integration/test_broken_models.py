"""A failing model costs only the utterances of its calls: their session continues, other sessions are not
affected, and /healthz reports the problem. Also sessions that are idle or too long.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from emostream.models import Alignment, Clip, EncodedAudio, Prediction, SpeakerBaseline, Transcript, Word
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol import messages
from emostream.streamer.server import log as server_log
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from tests.support.fakes import FakeRecognizer, FakeTranscriber, ManualClock, silence, voice
from tests.support.serving import SPEECH, START, errors, get, rest, serving, socket_url, started
from tests.support.streams import comparable, finals

TIMEOUT_S = 60  # for a loaded machine; nothing here measures time
POISON_MS = 1_400  # the clip of the first utterance of SPEECH, with its pre-roll and its tail
HARMLESS = np.concatenate([silence(300), voice(700), silence(700), voice(500), silence(700)])


def is_poisoned(clip: Clip) -> bool:
    return len(clip.samples) == 16 * POISON_MS


class FailingRecognizer(FakeRecognizer):
    """What each call does to a batch that contains the poison; None: nothing special."""

    def __init__(
        self,
        *,
        encode: Callable[[], None] | None = None,
        align: Callable[[], None] | None = None,
        fuse: Callable[[Prediction], Any] | None = None,
    ) -> None:
        super().__init__()
        self._encode, self._align, self._fuse = encode, align, fuse

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        if self._encode is not None and any(map(is_poisoned, clips)):
            self._encode()
        return super().encode(clips)

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        if self._align is not None and any(map(is_poisoned, clips)):
            self._align()
        return super().align(clips, transcripts)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        predictions = super().fuse(codes, transcripts, alignments, baselines)
        if self._fuse is None:
            return predictions
        changed = (
            self._fuse(one) if code.frames == 16 * POISON_MS else one
            for code, one in zip(codes, predictions, strict=True)
        )
        return [one for one in changed if one != "nothing"]


class FailingTranscriber(FakeTranscriber):
    def __init__(self, transcribe: Callable[[], None]) -> None:
        super().__init__()
        self._transcribe = transcribe

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        if any(map(is_poisoned, clips)):
            self._transcribe()
        return super().transcribe(clips)


def raising(error: BaseException) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise error

    return call


async def spoken(server: Server, sound: np.ndarray = SPEECH) -> tuple[list[messages.ServerEvent], int]:
    async with asyncio.timeout(TIMEOUT_S), started(server) as socket:
        await socket.send(encode_pcm(sound, "pcm_s16le"))
        await socket.send(json.dumps({"type": "stop", "at_samples": len(sound)}))
        return await rest(socket)


async def health(server: Server) -> tuple[int, dict[str, Any]]:
    status, _, body = await get(server, "/healthz")
    return status, json.loads(body)


async def until_it_is(server: Server, wanted: str) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(TIMEOUT_S):
        while (report := await health(server))[1]["status"] != wanted:
            pass
    return report


def errors_of(seen: Sequence[messages.ServerEvent]) -> list[tuple[str, int | None]]:
    return [(event.code, event.utterance) for event in seen if isinstance(event, messages.Error)]


# What fails ---------------------------------------------------------------------------------------

NAN = math.nan


@pytest.mark.parametrize(
    "recognizer",
    [
        pytest.param(FailingRecognizer(encode=raising(RuntimeError("no"))), id="encode raises"),
        pytest.param(FailingRecognizer(align=raising(ValueError("no"))), id="align raises"),
        pytest.param(FailingRecognizer(fuse=raising(MemoryError())), id="fuse raises"),
        pytest.param(FailingRecognizer(encode=raising(TimeoutError())), id="a timeout of its own"),
        pytest.param(FailingRecognizer(fuse=lambda one: "nothing"), id="too few results"),
        pytest.param(FailingRecognizer(fuse=lambda one: None), id="no result"),
        pytest.param(
            FailingRecognizer(fuse=lambda one: replace(one, probabilities=(NAN,) * 4)), id="no numbers"
        ),
        pytest.param(
            FailingRecognizer(fuse=lambda one: replace(one, probabilities=(math.inf,) * 4)), id="infinite"
        ),
        pytest.param(
            FailingRecognizer(fuse=lambda one: replace(one, audio_only=(NAN,) * 4)),
            id="no numbers of the sound",
        ),
        pytest.param(
            FailingRecognizer(fuse=lambda one: replace(one, text_only=(NAN,) * 4)),
            id="no numbers of the text",
        ),
        pytest.param(FailingRecognizer(fuse=lambda one: replace(one, confidence=NAN)), id="no confidence"),
        pytest.param(
            FailingRecognizer(fuse=lambda one: replace(one, probabilities=(0.5, 0.5))), id="too few labels"
        ),
        pytest.param(FailingRecognizer(encode=raising(StopIteration())), id="StopIteration"),
        pytest.param(FailingRecognizer(encode=raising(SystemExit(3))), id="exit"),
        pytest.param(
            FailingRecognizer(fuse=raising(asyncio.CancelledError())), id="a cancellation of its own"
        ),
    ],
)
async def test_a_failure_affects_one_utterance_only(recognizer: FailingRecognizer) -> None:
    """Neither the next one nor those of sessions beside it, though they may share its batches."""
    async with serving(
        recognizer=recognizer, transcriber=FakeTranscriber(), model_timeout_ms=2_000, max_load=1.0
    ) as server:
        alone, _ = await spoken(server, HARMLESS)
        assert (len(finals(alone)), errors(alone)) == (2, [])
        (seen, code), *beside = await asyncio.gather(
            spoken(server), *(spoken(server, HARMLESS) for _ in range(4))
        )
        assert errors_of(seen) == [("analysis_failed", 1)]
        assert ([final.utterance for final in finals(seen)], code) == ([2], 1000)
        for other, its_code in beside:
            assert (comparable(other), its_code) == (comparable(alone), 1000)
        status, report = await until_it_is(server, "ok")
        assert status == 200
        assert report["problems"] == []  # the last call succeeded


@pytest.mark.parametrize(
    "failure",
    [RuntimeError("no"), MemoryError(), TimeoutError(), StopIteration(), SystemExit(3)],
    ids=lambda failure: type(failure).__name__,
)
async def test_after_a_failed_transcription_the_result_is_audio_only(failure: BaseException) -> None:
    transcriber = FailingTranscriber(raising(failure))
    async with serving(transcriber=transcriber, model_timeout_ms=2_000, max_load=1.0) as server:
        alone, _ = await spoken(server, HARMLESS)
        (seen, code), *beside = await asyncio.gather(
            spoken(server), *(spoken(server, HARMLESS) for _ in range(4))
        )
        assert errors_of(seen) == [("transcription_failed", 1)]
        first, second = finals(seen)
        assert (first.text, first.words, first.text_only, first.uncertain) == ("", (), None, ("no_text",))
        assert (second.text, code) == ("1000 milliseconds", 1000)
        for other, its_code in beside:
            assert (comparable(other), its_code) == (comparable(alone), 1000)


async def test_an_invalid_transcript_is_repaired_or_dropped() -> None:
    """Times and probabilities that are not numbers are never sent: the event can be decoded."""

    class Odd(FakeTranscriber):
        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            return [
                Transcript(text="odd", language=None, words=(Word("odd", -5, 10**12, NAN),)) for _ in clips
            ]

    async with serving(transcriber=Odd()) as server:
        seen, code = await spoken(server)
    assert ([final.utterance for final in finals(seen)], code) == ([1, 2], 1000)


async def test_a_model_that_fails_from_the_start_is_not_healthy(caplog: pytest.LogCaptureFixture) -> None:
    """`ok` means that the models have analyzed a first utterance; before, no client should connect."""

    class Broken(FakeRecognizer):
        def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
            raise RuntimeError("broken from the first call")

    async with serving(recognizer=Broken()) as server:
        async with asyncio.timeout(TIMEOUT_S):
            while not [record for record in caplog.records if "warm-up" in record.getMessage()]:
                await health(server)
        seen, code = await spoken(server)
        assert ([code for code, _ in errors_of(seen)], code) == (["analysis_failed"] * 2, 1000)
        status, report = await health(server)
        assert report["problems"] == ["emotion: the last call failed: broken from the first call"]
        assert (status, report["status"] != "ok") == (503, True)


# Unresponsive models ---------------------------------------------------------------------------------------


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Until the test sets it, a model does not return. Set in any case after the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("stage", "thread", "error_code"),
    [
        ("encode", "emotion", "analysis_failed"),
        ("align", "align", "analysis_failed"),
        ("fuse", "emotion", "analysis_failed"),
        ("transcribe", "asr", "transcription_failed"),
    ],
)
async def test_an_unresponsive_model_is_named_and_recovers(
    stage: str, thread: str, error_code: str, release: threading.Event
) -> None:
    def hang(one: Any = None) -> Any:
        assert release.wait(TIMEOUT_S)
        return one

    recognizer = FailingRecognizer() if stage == "transcribe" else FailingRecognizer(**{stage: hang})
    transcriber = FailingTranscriber(hang) if stage == "transcribe" else FakeTranscriber()
    async with serving(
        recognizer=recognizer, transcriber=transcriber, model_timeout_ms=300, max_load=1.0
    ) as server:
        await until_it_is(server, "ok")
        before, _ = await spoken(server, HARMLESS)
        async with started(server) as socket, started(server) as other:
            await socket.send(encode_pcm(SPEECH[: 16 * 2_000], "pcm_s16le"))
            status, report = await until_it_is(server, "failing")
            assert status == 503
            (problem,) = report["problems"]
            assert problem.startswith(f"{thread}: a call has taken ")
            # Utterances that wait for that model meanwhile are lost, and no others.
            await other.send(encode_pcm(HARMLESS, "pcm_s16le"))
            await other.send(json.dumps({"type": "stop", "at_samples": len(HARMLESS)}))
            beside, code = await rest(other)
            assert ({kind for kind, _ in errors_of(beside)}, code) == ({error_code}, 1000)
            assert len(finals(beside)) == (2 if error_code == "transcription_failed" else 0)
            assert (await health(server))[0] == 503
            release.set()
            await until_it_is(server, "ok")
            await socket.send(encode_pcm(SPEECH[16 * 2_000 :], "pcm_s16le"))
            await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            seen, code = await rest(socket)
        assert (errors_of(seen), code) == ([(error_code, 1)], 1000)
        assert finals(seen)[-1].utterance == 2
        assert finals(seen)[-1].text == "1000 milliseconds"
        after, _ = await spoken(server, HARMLESS)
        assert comparable(after) == comparable(before)
        status, report = await health(server)
        assert (status, report["status"], report["problems"]) == (200, "ok", [])


# Limits of sessions -------------------------------------------------------------------------------


@asynccontextmanager
async def by_hand(
    recognizer: FakeRecognizer | None = None, status: str = "ok", **server: int
) -> AsyncIterator[tuple[Server, ManualClock]]:
    """A server whose clock the test moves."""
    limits: dict[str, Any] = dict(server)
    settings = Settings(server=ServerSettings(port=0, **limits))
    clock = ManualClock()
    engine = Engine(FakeTranscriber(), recognizer or FakeRecognizer(), clock)
    async with (
        asyncio.timeout(TIMEOUT_S),
        engine.running(),
        Server(bind(settings.server), engine, settings, clock) as listening,
    ):
        await until_it_is(listening, status)
        yield listening, clock


async def a_second_passes(clock: ManualClock) -> None:
    """One second of the test's clock passes, in which the server enforces its limits once."""
    await clock.wait_for_sleeper()
    clock.advance_to(clock.now() + 1.0)
    await clock.wait_for_sleeper()


async def send(socket: ClientConnection, message: str | bytes) -> None:
    """Returns when the server has received it."""
    await socket.send(message)
    await (await socket.ping())


async def ended(socket: ClientConnection, code: str, close_code: int) -> list[messages.ServerEvent]:
    """Checks the last events and the close code: a final, the reason, `closed`."""
    seen, closed_with = await rest(socket)
    assert closed_with == close_code
    assert errors(seen) == [(code, True)]
    *_, final, error, closed = seen
    assert isinstance(final, messages.Emotion)
    assert isinstance(error, messages.Error)
    assert isinstance(closed, messages.Closed)
    assert (closed.reason, closed.totals.utterances) == ("error", len(finals(seen)))
    return seen


async def test_an_idle_client_is_disconnected_and_an_active_one_is_not() -> None:
    """A ping does not count as a message, an invalid message does; speech in progress is classified first."""
    word = encode_pcm(np.concatenate([silence(300), voice(1_000)]), "pcm_s16le")
    async with by_hand(idle_ms=3_000) as (server, clock), started(server) as idle, started(server) as other:
        await send(idle, word)
        await send(other, word)
        for second in range(1, 4):
            await a_second_passes(clock)
            await (await idle.ping())
            await send(other, "?" if second % 2 else '{"type": "gap", "ms": 20}')
        await a_second_passes(clock)  # more than three
        seen = await ended(idle, "idle_too_long", 4408)
        (final,) = finals(seen)
        assert (final.utterance, final.reason, final.text) == (1, "end_of_stream", "1200 milliseconds")
        for _ in range(6):
            await a_second_passes(clock)
            await send(other, '{"type": "gap", "ms": 20}')
        await other.send(json.dumps({"type": "stop", "at_samples": len(word) // 2}))
        seen, code = await rest(other)
        assert (len(finals(seen)), code) == (1, 1000)
        assert set(errors(seen)) == {("bad_message", False)}


async def test_limits_are_enforced_while_the_warm_up_does_not_end(release: threading.Event) -> None:
    class Hanging(FakeRecognizer):
        def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
            assert release.wait(TIMEOUT_S)
            return super().encode(clips)

    async with (
        by_hand(Hanging(), "warming", idle_ms=3_000) as (server, clock),
        started(server) as socket,
    ):
        for _ in range(4):
            await a_second_passes(clock)
        seen, code = await rest(socket)
        assert (errors(seen), code) == ([("idle_too_long", True)], 4408)
        assert (await health(server))[1]["status"] == "warming"
        release.set()
        async with asyncio.timeout(TIMEOUT_S):
            while (await health(server))[1]["status"] != "ok":
                await a_second_passes(clock)


async def test_a_session_over_its_maximum_length_ends_although_audio_arrives() -> None:
    word = encode_pcm(np.concatenate([silence(300), voice(1_000), silence(700)]), "pcm_s16le")
    async with by_hand(session_ms=3_000) as (server, clock), started(server) as socket:
        for _ in range(3):
            await send(socket, word)
            await a_second_passes(clock)
        await send(socket, word)
        await a_second_passes(clock)
        seen = await ended(socket, "session_too_long", 4410)
        assert [final.utterance for final in finals(seen)] == [1, 2, 3, 4]


async def test_a_limit_of_zero_disables_it() -> None:
    async with by_hand(session_ms=0, idle_ms=0) as (server, clock), started(server) as socket:
        for _ in range(3):
            await clock.wait_for_sleeper()
            clock.advance_to(clock.now() + 1_000_000.0)
        await clock.wait_for_sleeper()
        await socket.send(json.dumps({"type": "stop", "at_samples": 0}))
        assert (await rest(socket))[1] == 1000


async def test_limits_are_announced() -> None:
    async with serving(idle_ms=7_000, session_ms=8_000) as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(START))
        ready = messages.decode_server_message(await socket.recv())
        assert isinstance(ready, messages.Ready)
        assert (ready.limits.idle_ms, ready.limits.session_ms) == (7_000, 8_000)


# Logging ------------------------------------------------------------------------------------------


@pytest.fixture
def as_before() -> Iterator[None]:
    """`configure_logging` replaces the handlers of the root logger: pytest's are put back."""
    root, ours = logging.getLogger(), logging.getLogger("emostream")
    kept = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers = kept[0]
    root.setLevel(kept[1])
    ours.setLevel(kept[2])


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Every line is a JSON object, with what every line has."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line)
        assert line["level"] in ("debug", "info", "warning", "error")
    return lines


@pytest.mark.usefixtures("as_before")
def test_a_log_line_is_a_json_object_whatever_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    server_log.configure_logging("json", "debug")
    log = logging.getLogger("emostream.test")
    logged = ["plain", "two\nlines\r\n", 'a "quote" and a \\', "Größe 声 \x1b[31m\x00", "%s %d", ""]
    for message in logged:
        log.debug("%s", message)
    log.info("with fields", extra={"fields": {"close_code": 1000, "address": "::1"}})
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("it failed")
    logging.getLogger("another.library").info("below the level of other libraries")
    lines = written(capsys)
    assert [line["message"] for line in lines] == [*logged, "with fields", "it failed"]
    assert (lines[-2]["close_code"], lines[-2]["address"]) == (1000, "::1")
    assert lines[-1]["traceback"].endswith("ValueError: first\nsecond")
    assert not [line for line in lines if "session" in line]


@pytest.mark.usefixtures("as_before")
async def test_lines_of_a_session_carry_its_id_and_nothing_of_its_content(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At level debug, with models that fail, and two sessions at once."""
    server_log.configure_logging("json", "debug")
    words = FakeTranscriber(fails_on=[1_000])
    names: list[str] = []
    data = encode_pcm(SPEECH, "pcm_s16le")

    async def talk(server: Server) -> list[messages.ServerEvent]:
        async with connect(socket_url(server)) as socket:
            await socket.send(json.dumps(START | {"language": "en-secret"}))
            ready = messages.decode_server_message(await socket.recv())
            assert isinstance(ready, messages.Ready)
            names.append(ready.session)
            await socket.send("my own words, which are no message")
            await socket.send(json.dumps({"type": "my own words"}))
            await socket.send(data)
            await socket.send(json.dumps({"type": "stop", "at_samples": len(SPEECH)}))
            return (await rest(socket))[0]

    async with serving(transcriber=words, recognizer=FakeRecognizer(fails_on=[POISON_MS])) as server:
        for seen in await asyncio.gather(talk(server), talk(server)):
            assert sorted(errors_of(seen), key=str) == [
                ("analysis_failed", 1),
                ("bad_message", None),
                ("bad_message", None),
                ("transcription_failed", 2),
            ]
    lines = written(capsys)
    for name in names:
        own = [line["message"] for line in lines if line.get("session") == name]
        assert "a session begins" in own
        assert "a session ends" in own
        assert [message for message in own if message.startswith("utterance 1: the emotion model failed")]
    for line in lines:
        if line["message"].startswith(("a client", "a session", "utterance", "the transcriber")):
            assert line["session"] in names
    everything = json.dumps(lines, ensure_ascii=False)
    piece = data[len(data) // 4 :][:30]
    for hidden in ("milliseconds", "my own words", "en-secret", "array(", piece.hex(), str(piece)):
        assert hidden not in everything
    assert base64.b64encode(piece).decode() not in everything
