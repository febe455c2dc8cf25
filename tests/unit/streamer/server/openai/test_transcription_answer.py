"""The answers, as the `openai` package and readers of subtitles take them."""

from __future__ import annotations

import io
import json
import math
import zlib
from typing import Any

import msgspec
import pysrt
import pytest
import webvtt
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionVerbose

from emostream.streamer.audio.memory_file import MemoryFile
from emostream.streamer.protocol import messages
from emostream.streamer.server.openai.transcription_answer import (
    Transcription,
    delta_event,
    rendered,
    warnings_header,
)
from emostream.streamer.server.openai.transcription_request import ResponseFormat, TranscriptionRequest
from tests.support.events import emotion_event

WORDS = (
    messages.Word(text="oh", start_ms=4_010, end_ms=4_200, confidence=0.5),
    messages.Word(text="no", start_ms=4_210, end_ms=4_400, confidence=0.8),
)


def event(number: int, label: str, text: str, **changes: Any) -> messages.Emotion:
    fields = {"start_ms": 4_000 * number, "end_ms": 4_000 * number + 1_500 * number, "text": text}
    return msgspec.structs.replace(emotion_event(number, label), **fields | changes)


RESULT = Transcription(
    ("angry", "happy", "sad", "neutral"),
    [
        event(1, "angry", "oh no ", words=WORDS, language="en"),
        event(2, "sad", "", language="de"),
        event(3, "happy", "wie schön", language="de", reliable=False),
    ],
    20_123,
)


async def answer(form: ResponseFormat, **options: Any) -> str:
    return (await rendered(RESULT, TranscriptionRequest(MemoryFile("a", b""), None, form, **options)))[
        1
    ].decode()


async def test_json_has_text_emotion_and_usage() -> None:
    got = json.loads(await answer("json"))
    assert got["text"] == "oh no wie schön"
    assert got["usage"] == {"type": "duration", "seconds": 20.123}
    assert got["emotion"]["label"] == "sad"  # the longest that is reliable
    assert set(got) == {"text", "usage", "emotion"}


async def test_text_is_the_words_alone() -> None:
    assert await answer("text") == "oh no wie schön\n"


async def test_verbose_json_is_what_the_client_s_types_describe() -> None:
    got = TranscriptionVerbose.model_validate_json(await answer("verbose_json", words=True))
    assert (got.language, got.duration) == ("de", 20.123)
    assert got.segments is not None
    assert got.words is not None
    first = got.segments[0]
    assert (first.id, first.start, first.end, first.text) == (0, 4.0, 5.5, "oh no ")
    assert [(one.word, one.start, one.end) for one in got.words] == [("oh", 4.01, 4.2), ("no", 4.21, 4.4)]


async def test_each_segment_has_its_emotion() -> None:
    first, second, third = json.loads(await answer("verbose_json"))["segments"]
    assert first["emotion"] == {
        "label": "angry",
        "confidence": RESULT.finals[0].confidence,
        "reliable": True,
        "uncertain": [],
        "probabilities": RESULT.finals[0].probabilities,
    }
    assert first["avg_logprob"] == pytest.approx((math.log(0.5) + math.log(0.8)) / 2)
    assert first["compression_ratio"] == pytest.approx(6 / len(zlib.compress(b"oh no ")))
    unknown = ("avg_logprob", "compression_ratio", "no_speech_prob")
    assert [second[name] for name in unknown] == [0, 0, 0]
    assert third["emotion"]["reliable"] is False


async def test_granularities_choose_what_is_listed() -> None:
    words = json.loads(await answer("verbose_json", segments=False, words=True))
    assert "segments" not in words
    assert len(words["words"]) == 2
    assert "words" not in json.loads(await answer("verbose_json"))


async def test_srt_is_read_by_another_library() -> None:
    read = pysrt.from_string(await answer("srt"))
    assert [(one.start.ordinal, one.end.ordinal) for one in read] == [
        (4_000, 5_500),
        (8_000, 11_000),
        (12_000, 16_500),
    ]
    assert read[0].text == f"[angry {RESULT.finals[0].confidence:.0%}] oh no"


async def test_vtt_is_read_by_another_library() -> None:
    read = webvtt.from_buffer(io.StringIO(await answer("vtt")))
    assert (read.captions[2].start, read.captions[2].end) == ("00:00:12.000", "00:00:16.500")
    assert read.captions[2].text.endswith("wie schön")


def test_the_deltas_joined_are_the_text() -> None:
    sent = Transcription(RESULT.labels)
    deltas = []
    for one in RESULT.finals:
        got = TranscriptionTextDeltaEvent.model_validate(
            json.loads(msgspec.json.encode(delta_event(sent, one)))
        )
        deltas.append(got.delta)
        sent.finals.append(one)
    assert "".join(deltas) == RESULT.text
    assert deltas == ["oh no", "", " wie schön"]


def test_a_channel_is_named_where_each_is_heard_on_its_own() -> None:
    fields = delta_event(Transcription(()), event(1, "sad", "x", channel=2))["segment"]
    assert fields["channel"] == 2
    assert "channel" not in delta_event(Transcription(()), event(1, "sad", "x"))["segment"]


def test_the_language_is_that_of_most_of_the_speech() -> None:
    assert RESULT.language == "de"
    assert Transcription(()).language is None


def test_warnings_fit_into_a_header() -> None:
    assert warnings_header(["schön:\nnot\rwhole", "x" * 2_000]) == f"sch?n: not whole; {'x' * 982}"
