"""The answers to a transcription request, in the shapes of OpenAI's interface, with the emotions added."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ...output.emotion_context import overall_emotion
from ...output.formats import FORMATS
from ...protocol import messages
from .transcription_request import TranscriptionRequest

_DIGITS: Final = 3


@dataclass(slots=True)
class Transcription:
    """What a recording holds. labels: of the model. duration_ms: of the recording. warnings: what its sender
    should know, one sentence each.
    """

    labels: tuple[str, ...]
    finals: list[messages.Emotion] = field(default_factory=list)
    duration_ms: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(one.text.strip() for one in self.finals if one.text.strip())

    @property
    def language(self) -> str | None:
        """Of most of the speech; None where it is not known."""
        spoken: dict[str, int] = {}
        for one in self.finals:
            if one.language is not None:
                spoken[one.language] = spoken.get(one.language, 0) + one.end_ms - one.start_ms
        return max(spoken, key=lambda language: spoken[language], default=None)


async def rendered(result: Transcription, request: TranscriptionRequest) -> tuple[str, bytes]:
    """The type of the content, and the answer as a whole."""
    match request.response_format:
        case "text":
            return "text/plain; charset=utf-8", f"{result.text}\n".encode()
        case "srt":
            return "application/x-subrip; charset=utf-8", await _subtitles("srt", result)
        case "vtt":
            return "text/vtt; charset=utf-8", await _subtitles("vtt", result)
        case _:
            return "application/json", msgspec.json.encode(json_answer(result, request))


def json_answer(result: Transcription, request: TranscriptionRequest) -> dict[str, Any]:
    """For `json` and `verbose_json`."""
    answer: dict[str, Any] = {"text": result.text}
    if request.response_format == "verbose_json":
        answer |= {
            "task": "transcribe",
            "language": result.language,
            "duration": _seconds(result.duration_ms),
        }
        if request.segments:
            answer["segments"] = [segment(number, one) for number, one in enumerate(result.finals)]
        if request.words:
            answer["words"] = [_word(word) for one in result.finals for word in one.words]
    main = overall_emotion(result.finals)
    answer["emotion"] = None if main is None else emotion(main)
    answer["usage"] = {"type": "duration", "seconds": _seconds(result.duration_ms)}
    if result.warnings:
        answer["warnings"] = result.warnings
    return answer


def segment(number: int, event: messages.Emotion) -> dict[str, Any]:
    """An utterance as a segment. What is not known is 0: the interface has numbers in all of these fields."""
    confidences = [word.confidence for word in event.words if word.confidence]
    raw = event.text.encode()
    return {
        "id": number,
        "seek": event.start_ms // 10,
        "start": _seconds(event.start_ms),
        "end": _seconds(event.end_ms),
        "text": event.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": sum(map(math.log, confidences)) / len(confidences) if confidences else 0.0,
        "compression_ratio": len(raw) / len(zlib.compress(raw)),
        "no_speech_prob": 0.0,
        "language": event.language,
        "emotion": emotion(event),
        "words": [_word(word) for word in event.words],
    } | ({} if event.channel is None else {"channel": event.channel})


def emotion(event: messages.Emotion) -> dict[str, Any]:
    return {
        "label": event.label,
        "confidence": event.confidence,
        "reliable": event.reliable,
        "uncertain": event.uncertain,
        "probabilities": event.probabilities,
    }


def delta_event(before: Transcription, event: messages.Emotion) -> dict[str, Any]:
    """The streamed event of one utterance: the deltas joined are the text. before: what was sent."""
    text = event.text.strip()
    return {
        "type": "transcript.text.delta",
        "delta": f" {text}" if text and before.text else text,
        "segment": segment(len(before.finals), event),
    }


def done_event(result: Transcription, request: TranscriptionRequest) -> dict[str, Any]:
    """The last streamed event."""
    return {"type": "transcript.text.done"} | json_answer(result, request)


def _word(word: messages.Word) -> dict[str, Any]:
    return {"word": word.text, "start": _seconds(word.start_ms), "end": _seconds(word.end_ms)}


def _seconds(ms: int) -> float:
    return round(ms / 1_000, _DIGITS)


async def _subtitles(form: str, result: Transcription) -> bytes:
    """As `emostream replay --format` writes them."""
    out = io.BytesIO()
    document = FORMATS[form].begin(out, result.labels, False)  # type: ignore[index]
    sink = document.add("")
    for one in result.finals:
        await sink.send(one)
    document.close()
    return out.getvalue()


def warnings_header(warnings: Sequence[str]) -> str:
    """For the formats without a place for them: one line of ASCII."""
    text = "; ".join(warnings).encode("ascii", "replace").decode("ascii")
    return "".join(one if one.isprintable() else " " for one in text)[:1_000]
