"""Events of a server, made by hand."""

from __future__ import annotations

from emostream.streamer.protocol import messages


def emotion_event(utterance: int, label: str, *, final: bool = True) -> messages.Emotion:
    return messages.Emotion(
        utterance=utterance,
        final=final,
        start_ms=3_000 * utterance,
        end_ms=3_000 * utterance + 1_000,
        reason="silence" if final else "speaking",
        label=label,
        confidence=0.8,
        uncertain=(),
        probabilities={label: 0.8},
        audio_only={label: 0.8},
        text_only=None,
        text="",
        language=None,
        words=(),
        timing=messages.Timing(
            endpoint_ms=0, lead_ms=0, queue_ms=0, asr_ms=0, align_ms=0, emotion_ms=0, total_ms=0
        ),
    )
