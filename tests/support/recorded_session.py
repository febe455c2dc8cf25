"""Sessions as a server sends them, for what the page exports."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from emostream.models import LABELS
from emostream.streamer.protocol import messages

TIMING = messages.Timing(
    endpoint_ms=500, lead_ms=300, queue_ms=1.5, asr_ms=120, align_ms=2, emotion_ms=38, total_ms=661
)

# Each message as JSON, with the offset of its session's clock, or None.
Steps = list[tuple[str, int | None]]

FILL_LOG = """
    const { SessionLog } = await load("session_log.js");
    const { parseMessage, readEvent } = await load("events.js");
    const log = new SessionLog();
    for (const [text, offsetMs] of steps) {
        const wire = parseMessage(text);
        log.append(readEvent(wire), wire, 0, offsetMs);
    }
"""
"""JavaScript that appends `steps` to a new session log; `load` imports a module of `demo/`."""


def final(utterance: int, label: str, start_ms: int, end_ms: int, text: str = "") -> messages.Emotion:
    """With awkward probabilities: small ones, whole ones, and many digits."""
    rest = {"angry": 1e-06, "happy": 0.25, "sad": 0.123457, "neutral": 0.0}
    scores = rest | {label: 1 - sum(p for name, p in rest.items() if name != label)}
    return messages.Emotion(
        utterance=utterance,
        final=True,
        start_ms=start_ms,
        end_ms=end_ms,
        reason="max_length" if text else "silence",
        label=label,
        confidence=scores[label],
        reliable=bool(text),
        baseline_utterances=utterance if text else None,
        uncertain=("low_snr",) if text else ("no_text", "too_short"),
        probabilities=scores,
        audio_only=rest,
        text_only=scores if text else None,
        text=text,
        language="en" if text else None,
        words=tuple(
            messages.Word(
                text=word, start_ms=start_ms + 100 * i, end_ms=start_ms + 100 * i + 90, confidence=None
            )
            for i, word in enumerate(text.split())
        ),
        timing=TIMING,
    )


def session_of(finals: Sequence[messages.Emotion]) -> list[messages.ServerEvent]:
    """The finals, with the events before each of them, and after all."""
    events: list[messages.ServerEvent] = []
    for event in finals:
        interim = msgspec.structs.replace(
            event, final=False, reason="speaking", label="sad", text="", words=()
        )
        started = messages.SpeechStarted(utterance=event.utterance, start_ms=event.start_ms)
        events += [started, interim, event]
    error = messages.Error(code="analysis_failed", message="no", fatal=False, utterance=99)
    dropped = messages.Dropped(ms=20, reason="too slow")
    totals = messages.Totals(audio_ms=20_000, utterances=len(finals), dropped_ms=20)
    events += [dropped, error, messages.Closed(reason="end_of_stream", totals=totals)]
    return [messages.with_seq(event, seq) for seq, event in enumerate(events, 1)]


def steps_of(
    events: Sequence[messages.ServerEvent], session: str = "a", offset_ms: int | None = None
) -> Steps:
    ready = messages.Ready(
        session=session,
        resume_token=None,
        labels=LABELS,
        models=messages.Models(vad="webrtc 2", asr=None, emotion="bundled", device="cpu"),
        limits=messages.Limits(message_bytes=1 << 20, max_unacked_ms=2_000),
    )
    return [(messages.encode(ready), offset_ms), *((messages.encode(event), None) for event in events)]
