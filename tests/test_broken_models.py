"""A model that raises, hangs or says what is no number costs its utterance; sessions that say nothing, or
too much.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection

from emostream.models import Alignment, AudioCode, Clip, Prediction, Transcript
from emostream.streamer import diary, events
from emostream.streamer.audio import encode_pcm
from emostream.streamer.server import Server

from .fakes import FakeRecognizer, FakeTranscriber, silence, voice
from .serving import SPEECH, errors, get, rest, serving, started, stream

# With its pre-roll and its tail the first utterance's clip has 1400 ms.
FIRST_MS = 1_400
FIRST, REST = SPEECH[: 16 * 2_000], SPEECH[16 * 2_000 :]


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Until the test sets it, a model hangs; none hangs behind the test."""
    event = threading.Event()
    yield event
    event.set()


class HangingRecognizer(FakeRecognizer):
    def __init__(self, go: threading.Event) -> None:
        super().__init__()
        self._go = go

    def encode(self, clips: Sequence[Clip]) -> list[AudioCode]:
        if any(len(clip.samples) // 16 == FIRST_MS for clip in clips):
            self._go.wait()
        return super().encode(clips)


class HangingTranscriber(FakeTranscriber):
    def __init__(self, go: threading.Event) -> None:
        super().__init__()
        self._go = go

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        if any(len(clip.samples) // 16 == FIRST_MS for clip in clips):
            self._go.wait()
        return super().transcribe(clips)


class NoNumbers(FakeRecognizer):
    def fuse(
        self,
        codes: Sequence[AudioCode],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
    ) -> list[Prediction]:
        return [
            replace(one, probabilities=(math.nan,) * 4) if code.frames == 16 * FIRST_MS else one
            for code, one in zip(codes, super().fuse(codes, transcripts, alignments), strict=True)
        ]


async def health(server: Server) -> tuple[int, dict[str, Any]]:
    status, _, body = await get(server, "/healthz")
    return status, json.loads(body)


async def say(socket: ClientConnection, sound: np.ndarray) -> None:
    await socket.send(encode_pcm(sound[:, None], "pcm_s16le"))


async def until(socket: ClientConnection, kind: type[events.ServerEvent]) -> events.ServerEvent:
    while not isinstance(event := events.decode_server(await socket.recv()), kind):
        pass
    return event


async def stop(socket: ClientConnection, samples: int) -> tuple[list[events.ServerEvent], int]:
    await socket.send(json.dumps({"type": "stop", "at_samples": samples}))
    return await rest(socket)


def finals(seen: Sequence[object]) -> list[events.Emotion]:
    return [event for event in seen if isinstance(event, events.Emotion) and event.final]


async def test_a_model_that_hangs_costs_its_utterance(go: threading.Event) -> None:
    async with (
        serving(recognizer=HangingRecognizer(go), patience_ms=300) as server,
        started(server) as socket,
    ):
        while (await health(server))[1]["status"] == "warming":
            pass
        await say(socket, FIRST)
        error = await until(socket, events.Error)
        assert isinstance(error, events.Error)
        assert (error.code, error.fatal, error.utterance) == ("analysis_failed", False, 1)
        assert "within 0.3 s" in error.message
        status, said = await health(server)
        assert (status, said["status"]) == (503, "failing")
        assert said["trouble"][0].startswith("emotion: a call has taken")
        go.set()
        # It answers again: this session goes on, another one is none the wiser.
        await say(socket, REST)
        seen, code = await stop(socket, len(SPEECH))
        assert ([one.utterance for one in finals(seen)], code) == ([2], 1000)
        assert [one.utterance for one in finals(await stream(server, SPEECH))] == [1, 2]
        status, said = await health(server)
        assert (status, said["status"], said["trouble"]) == (200, "ok", [])


async def test_words_that_do_not_come_are_done_without(go: threading.Event) -> None:
    async with (
        serving(transcriber=HangingTranscriber(go), patience_ms=300) as server,
        started(server) as socket,
    ):
        await say(socket, FIRST)
        error = await until(socket, events.Error)
        assert isinstance(error, events.Error)
        assert (error.code, error.fatal, error.utterance) == ("transcription_failed", False, 1)
        judged = await until(socket, events.Emotion)
        assert isinstance(judged, events.Emotion)
        assert (judged.utterance, judged.text, judged.uncertain) == (1, "", ("no_text",))
        go.set()
        await say(socket, REST)
        seen, _ = await stop(socket, len(SPEECH))
    (second,) = finals(seen)
    assert second.text


@pytest.mark.parametrize(
    "recognizer", [FakeRecognizer(fails_on=[FIRST_MS]), NoNumbers()], ids=["raises", "no numbers"]
)
async def test_a_model_that_fails_costs_its_utterance(recognizer: FakeRecognizer) -> None:
    async with serving(recognizer=recognizer) as server:
        seen = await stream(server, SPEECH)
        assert errors(seen) == [("analysis_failed", False)]
        assert [one.utterance for one in finals(seen)] == [2]
        alone = await stream(server, SPEECH[16 * 1_300 :])
        assert len(finals(alone)) == 1
        assert (await health(server))[1]["trouble"] == []


@pytest.mark.parametrize(
    ("recognizer", "trouble"),
    [
        (FakeRecognizer(fails_on=[FIRST_MS]), "emotion: the last call failed: this clip is poison"),
        (NoNumbers(), "emotion: probabilities that are not numbers"),
    ],
    ids=["raises", "no numbers"],
)
async def test_health_names_the_last_failure(recognizer: FakeRecognizer, trouble: str) -> None:
    async with serving(recognizer=recognizer) as server, started(server) as socket:
        while (await health(server))[1]["status"] == "warming":
            pass
        await say(socket, FIRST)
        await until(socket, events.Error)
        status, said = await health(server)
        assert (status, said["status"]) == (200, "ok")  # one utterance is no reason to send everybody away
        assert said["trouble"] == [trouble]


@pytest.mark.parametrize(
    ("limits", "code", "close_code"),
    [({"idle_ms": 1_000}, "idle_too_long", 4408), ({"session_ms": 1_000}, "session_too_long", 4410)],
)
async def test_a_session_has_an_end(limits: dict[str, Any], code: str, close_code: int) -> None:
    """What was said is judged first."""
    async with serving(**limits) as server, started(server) as socket:
        await say(socket, SPEECH[: 16 * 1_200])
        seen, ended = await rest(socket)
    assert ended == close_code
    assert [one.utterance for one in finals(seen)] == [1]
    assert errors(seen) == [(code, True)]
    assert isinstance(seen[-1], events.Closed)
    assert seen[-1].reason == "error"


async def test_the_diary_knows_the_session_and_nothing_of_what_was_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At its most talkative, with a failure in it."""
    root, ours = logging.getLogger(), logging.getLogger("emostream")
    kept = (list(root.handlers), root.level, ours.level)
    try:
        diary.keep_diary("json", "debug")
        transcriber = FakeTranscriber(fails_on=[1_000])
        async with serving(transcriber=transcriber) as server:
            seen = await stream(server, SPEECH)
    finally:
        root.handlers, level, own = kept
        root.setLevel(level)
        ours.setLevel(own)
    assert finals(seen)[0].text == "1400 milliseconds"
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {line["message"]: line for line in lines}
    begun, over = told["a client begins"], told["a session is over"]
    assert begun["session"] == over["session"]
    assert (over["close_code"], over["utterances"], over["audio_ms"]) == (1000, 2, len(SPEECH) // 16)
    failed = next(line for line in lines if "traceback" in line)
    assert (failed["level"], failed["session"]) == ("error", begun["session"])
    assert not any("milliseconds" in json.dumps(line) for line in lines)


def test_a_line_for_people_says_the_same() -> None:
    record = logging.makeLogRecord(
        {"levelname": "INFO", "msg": "a session is over", "facts": {"close_code": 1000}}
    )
    record.session = "abc"
    assert diary.TextLines().format(record).endswith("INFO    a session is over close_code=1000 session=abc")


def test_the_speech_is_what_these_tests_take_it_for() -> None:
    assert np.array_equal(np.concatenate([FIRST, REST]), SPEECH)
    assert np.array_equal(SPEECH[: 16 * 1_300], np.concatenate([silence(300), voice(1_000)]))
