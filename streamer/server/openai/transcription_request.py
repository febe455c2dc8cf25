"""The fields of a transcription request: checked, with the defaults of OpenAI's interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, cast, get_args

from ...audio.memory_file import MemoryFile
from ...config import Channels
from ..http_exchange import RequestError
from ..multipart import Form

MODELS: Final = ("emostream", "whisper-1")
"""Names by which the one set of models may be asked for; clients of OpenAI send the second."""

ResponseFormat = Literal["json", "text", "srt", "vtt", "verbose_json"]
Granularity = Literal["segment", "word"]

_KNOWN: Final = {
    "file",
    "model",
    "language",
    "response_format",
    "timestamp_granularities",
    "stream",
    "channels",
}
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_SHOWN: Final = 80


class FieldError(RequestError):
    """field: which one cannot be used."""

    def __init__(self, field: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(status, message)
        self.field = field


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """words: whether `verbose_json` lists them, segments: the same. channels: see `AudioSettings`; None: the
    server's. ignored: fields that were sent and have no effect.
    """

    file: MemoryFile
    language: str | None = None
    response_format: ResponseFormat = "json"
    segments: bool = True
    words: bool = False
    stream: bool = False
    channels: Channels | None = None
    ignored: tuple[str, ...] = ()


def parse_request(form: Form) -> TranscriptionRequest:
    """Raises RequestError; FieldError where one field is to blame."""
    file = form.files.get("file")
    if file is None:
        got = "one as text" if form.last("file") else "none"
        raise FieldError(
            "file", f"expected a recording in the field file, got {got}; curl -F file=@speech.wav"
        )
    model = form.last("model")
    if model is not None and model not in MODELS:
        raise FieldError(
            "model",
            f"expected a model of this server ({', '.join(MODELS)}), got {model[:_SHOWN]!r}; see /v1/models",
            HTTPStatus.NOT_FOUND,
        )
    response_format = cast(
        ResponseFormat,
        _one_of("response_format", form.last("response_format") or "json", get_args(ResponseFormat)),
    )
    granularities = {
        _one_of("timestamp_granularities", value.strip(), get_args(Granularity))
        for value in form.all("timestamp_granularities")
    }
    if granularities and response_format != "verbose_json":
        raise FieldError(
            "timestamp_granularities",
            f"expected response_format verbose_json with timestamp_granularities, got {response_format}; "
            "change one",
        )
    stream = _FLAGS[_one_of("stream", (form.last("stream") or "false").casefold(), tuple(_FLAGS))]
    if stream and response_format in ("srt", "vtt"):
        raise FieldError(
            "stream",
            f"expected response_format json, text or verbose_json with stream, got {response_format}; "
            "change one",
        )
    return TranscriptionRequest(
        file,
        _language(form.last("language")),
        response_format,
        segments=not granularities or "segment" in granularities,
        words="word" in granularities,
        stream=stream,
        channels=_channels(form.last("channels")),
        ignored=tuple(sorted({key.removesuffix("[]")[:_SHOWN] for key, _ in form.fields} - _KNOWN)),
    )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise FieldError(
            name, f"expected {name} to be one of {', '.join(allowed)}, got {value[:_SHOWN]!r}; choose one"
        )
    return value


def _language(tag: str | None) -> str | None:
    if tag is not None and not _LANGUAGE.fullmatch(tag):
        raise FieldError(
            "language",
            f"expected language to be a BCP 47 tag such as en, got {tag[:_SHOWN]!r}; leave it out "
            "to detect it",
        )
    return tag


def _channels(value: str | None) -> Channels | None:
    if value is None:
        return None
    if value in ("mix", "split"):
        return cast(Channels, value)
    if value.isascii() and value.isdigit() and len(value) <= 4 and int(value) >= 1:
        return int(value)
    raise FieldError(
        "channels",
        f"expected channels to be mix, split or a number from 1, got {value[:_SHOWN]!r}; choose one",
    )
