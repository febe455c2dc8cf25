"""Results of `emostream replay` as tests write them, and their summary in every form."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from emostream.streamer.protocol import messages
from emostream.streamer.summary.export import Summary, write_json
from emostream.streamer.summary.reader import read_results
from emostream.streamer.summary.statistics import RecordingSummary
from emostream.streamer.summary.text import print_text

TIMING = messages.Timing(endpoint_ms=0, lead_ms=0, queue_ms=0, asr_ms=0, align_ms=0, emotion_ms=0, total_ms=0)


def final(
    utterance: int, label: str, start_ms: int, end_ms: int, confidence: float = 0.5, *uncertain: str
) -> messages.Emotion:
    return messages.Emotion(
        utterance=utterance,
        final=True,
        start_ms=start_ms,
        end_ms=end_ms,
        reason="silence",
        label=label,
        confidence=confidence,
        uncertain=uncertain,
        probabilities={label: confidence},
        audio_only={label: confidence},
        text_only=None,
        text="",
        language=None,
        words=(),
        timing=TIMING,
    )


def provisional(utterance: int, label: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    event = json.loads(messages.encode(final(utterance, label, start_ms, end_ms)))
    return {**event, "final": False, "reason": "speaking"}


def no_emotion(utterance: int, start_ms: int, end_ms: int) -> messages.NoEmotion:
    return messages.NoEmotion(
        utterance=utterance, start_ms=start_ms, end_ms=end_ms, reason="no_speech", speech=0.1
    )


def failed(utterance: int) -> messages.Error:
    return messages.Error(code="analysis_failed", message="", fatal=False, utterance=utterance)


def closed(audio_ms: int, dropped_ms: int = 0, reason: Any = "end_of_stream") -> messages.Closed:
    totals = messages.Totals(audio_ms=audio_ms, utterances=0, dropped_ms=dropped_ms)
    return messages.Closed(reason=reason, totals=totals)


def session(*events: messages.ServerEvent | dict[str, Any], file: str | None = None) -> list[str]:
    """Lines as replay writes them, numbered from 1."""
    lines = []
    for seq, event in enumerate(events, 1):
        line = event if isinstance(event, dict) else json.loads(messages.encode(event))
        named = {} if file is None else {"file": file}
        lines.append(json.dumps({**named, **line, "seq": seq}))
    return lines


def talk(*labels: str, file: str | None = None) -> list[str]:
    """A second of each, one behind the other, to the end."""
    finals = [final(n, label, n * 1_000, n * 1_000 + 1_000) for n, label in enumerate(labels, 1)]
    return session(*finals, closed(1_000 * (len(labels) + 2)), file=file)


def read(lines: Sequence[str], end: str = "\n") -> list[RecordingSummary]:
    return read_results(io.BytesIO(("\n".join(lines) + end).encode()), "r.jsonl", "r")


def write(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_json(summary: Summary) -> dict[str, Any]:
    out = io.StringIO()
    write_json(summary, out)
    parsed: dict[str, Any] = json.loads(out.getvalue())
    return parsed


def as_text(summary: Summary, width: int = 80, files: int = 20) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_text(summary, console, files)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def summed(*sessions: list[str]) -> Summary:
    return Summary([recording for lines in sessions for recording in read(lines)])


TEN_SECONDS = session(
    messages.SpeechStarted(utterance=1, start_ms=0),
    provisional(1, "angry", 0, 2_000),
    final(1, "sad", 0, 3_000, 0.9),
    final(2, "happy", 4_000, 5_000, 0.5, "too_short", "low_snr"),
    messages.Dropped(ms=500, reason="the client dropped it"),
    final(3, "sad", 6_000, 7_000, 0.5, "low_snr"),
    failed(4),
    closed(10_000, dropped_ms=500),
)
"""4 s sad, 1 s happy, half a second lost: 4.5 s remain."""
