"""The fields of a transcription request."""

from __future__ import annotations

import pytest

from emostream.streamer.audio.memory_file import MemoryFile
from emostream.streamer.server.http_exchange import RequestError
from emostream.streamer.server.multipart import Form
from emostream.streamer.server.openai.transcription_request import (
    FieldError,
    TranscriptionRequest,
    parse_request,
)

FILE = MemoryFile("a.wav", b"sound")


def parse(*fields: tuple[str, str]) -> TranscriptionRequest:
    return parse_request(Form(list(fields), {"file": FILE}))


def test_the_defaults_are_those_of_the_interface() -> None:
    assert parse(("model", "whisper-1")) == TranscriptionRequest(FILE)
    assert parse() == parse(("language", ""), ("response_format", " "), ("stream", "false"))


def test_all_fields() -> None:
    request = parse(
        ("language", "en-GB"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("stream", "True"),
        ("channels", "2"),
    )
    assert request == TranscriptionRequest(FILE, "en-GB", "verbose_json", False, True, True, 2)
    assert parse(("channels", "split")).channels == "split"


@pytest.mark.parametrize(
    ("granularities", "wanted"),
    [
        ([], (True, False)),
        (["segment"], (True, False)),
        (["word"], (False, True)),
        (["word", "segment"], (True, True)),
    ],
)
def test_granularities(granularities: list[str], wanted: tuple[bool, bool]) -> None:
    fields = [("timestamp_granularities[]", one) for one in granularities]
    request = parse(("response_format", "verbose_json"), *fields)
    assert (request.segments, request.words) == wanted


def test_what_has_no_effect_is_named() -> None:
    request = parse(("temperature", "0"), ("prompt", "x"), ("include[]", "logprobs"), ("model", "emostream"))
    assert request.ignored == ("include", "prompt", "temperature")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", "gpt-4o-transcribe", "expected a model of this server (emostream, whisper-1), got 'gpt-4o"),
        ("response_format", "diarized_json", "json, text, srt, vtt, verbose_json"),
        ("timestamp_granularities[]", "phone", "segment, word"),
        ("timestamp_granularities[]", "word", "expected response_format verbose_json"),
        ("stream", "maybe", "true, 1, false, 0"),
        ("language", "english", "BCP 47"),
        ("language", "e" * 5_000, "BCP 47"),
        ("channels", "0", "mix, split or a number"),
        ("channels", "²", "mix, split or a number"),
        ("channels", "9" * 5_000, "mix, split or a number"),
    ],
)
def test_a_field_that_cannot_be_used(field: str, value: str, message: str) -> None:
    with pytest.raises(FieldError) as raised:
        parse((field, value))
    assert message in str(raised.value)
    assert raised.value.field == field.removesuffix("[]")
    assert raised.value.status == (404 if field == "model" else 400)
    assert len(str(raised.value)) < 250


def test_subtitles_are_not_streamed() -> None:
    with pytest.raises(FieldError, match="with stream, got srt"):
        parse(("stream", "true"), ("response_format", "srt"))


def test_without_a_file() -> None:
    with pytest.raises(RequestError, match="in the field file, got none"):
        parse_request(Form([("model", "emostream")]))
    with pytest.raises(RequestError, match="got one as text"):
        parse_request(Form([("file", "speech.wav")]))
