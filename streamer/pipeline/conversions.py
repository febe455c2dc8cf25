"""The pipeline's types to wire events: where samples become milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from emostream.models import Prediction, SpeechPresence

from ..config import SAMPLE_RATE_HZ, VadSettings
from ..inference.backend import Analysis, InferenceBackend
from ..protocol import messages
from .interim_text import TextSoFar
from .segmenter import SpeechStarted, Utterance
from .vad import make_vad

# Of the probabilities that are sent: below that the models' arithmetic differs between machines.
_DIGITS = 6


def describe_models(engine: InferenceBackend, vad: VadSettings) -> messages.Models:
    """The models by name, for `ready`, `/healthz` and captured sessions."""
    info = engine.model_info
    return messages.Models(
        vad=make_vad(vad).name,
        asr=info.asr,
        emotion=info.emotion,
        device=info.device,
        asr_source=info.asr_source,
    )


def ms(samples: int) -> int:
    """A position on the audio clock, rounded down."""
    return samples * 1_000 // SAMPLE_RATE_HZ


def _ms_in(utterance: Utterance, samples: int) -> int:
    """A position in the stream, which the padding of its last frame is no part of."""
    return ms(samples if utterance.limit is None else min(samples, utterance.limit))


def started_event(started: SpeechStarted, channel: int | None) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=started.utterance, channel=channel, start_ms=ms(started.start))


def emotion_event(
    utterance: Utterance,
    analysis: Analysis,
    labels: Sequence[str],
    timing: messages.Timing,
    channel: int | None = None,
    *,
    words: bool,
    transcript: bool = True,
) -> messages.Emotion:
    """words: whether the event carries the words one by one (`options.words`); transcript: whether it carries
    any text at all (`server.transcript`).
    """
    prediction, spoken = analysis.prediction, analysis.transcript
    assert prediction is not None  # otherwise there is a `no_emotion_event`
    assert prediction.audio_only is not None  # an utterance of a stream always has audio
    return messages.Emotion(
        utterance=utterance.utterance,
        channel=channel,
        final=utterance.reason != "speaking",
        start_ms=ms(utterance.start),
        end_ms=_ms_in(utterance, utterance.end),
        reason=utterance.reason,
        label=prediction.label,
        confidence=round(prediction.confidence, _DIGITS),
        reliable=prediction.reliable,
        uncertain=_doubts(analysis, prediction),
        baseline_utterances=analysis.baseline_utterances,
        probabilities=_named(labels, prediction.probabilities),
        audio_only=_named(labels, prediction.audio_only),
        text_only=None if prediction.text_only is None else _named(labels, prediction.text_only),
        text=spoken.text if spoken is not None and transcript else "",
        language=None if spoken is None else spoken.language,
        words=tuple(
            messages.Word(
                text=word.text,
                start_ms=_ms_in(utterance, utterance.clip_start + word.start),
                end_ms=_ms_in(utterance, utterance.clip_start + word.end),
                confidence=None if word.confidence is None else round(word.confidence, 3),
            )
            for word in (analysis.words if words and transcript else ())
        ),
        timing=timing,
    )


def _doubts(analysis: Analysis, prediction: Prediction) -> tuple[str, ...]:
    """That there is no text is no reason for doubt where nothing was to be transcribed."""
    reasons = prediction.uncertain
    if analysis.transcript is None and analysis.asr_error is None:
        return tuple(reason for reason in reasons if reason != "no_text")
    return reasons


def interim_event(
    utterance: Utterance,
    analysis: Analysis,
    labels: Sequence[str],
    timing: messages.Timing,
    channel: int | None,
    text: TextSoFar | None,
) -> messages.Emotion:
    """An event that is not final. text: the words so far; None where interim results have none."""
    event = emotion_event(utterance, analysis, labels, timing, channel, words=False, transcript=False)
    # A candidate's is not final either: its pause has not lasted yet.
    event = msgspec.structs.replace(event, final=False, reason="speaking")
    if text is None or not text.text:
        return event
    return msgspec.structs.replace(event, text=text.text, stable_chars=text.stable_chars)


def misread(analysis: Analysis) -> Analysis:
    """What is left of the results of an utterance whose samples are not what they should be."""
    probability = 0.0 if analysis.speech is None else analysis.speech.probability
    return replace(analysis, prediction=None, speech=SpeechPresence(probability, "misread_samples"))


def no_emotion_event(utterance: Utterance, speech: SpeechPresence, channel: int | None) -> messages.NoEmotion:
    assert speech.reason is not None
    return messages.NoEmotion(
        utterance=utterance.utterance,
        channel=channel,
        start_ms=ms(utterance.start),
        end_ms=_ms_in(utterance, utterance.end),
        reason=speech.reason,
        speech=round(speech.probability, _DIGITS),
    )


def _named(labels: Sequence[str], probabilities: Sequence[float]) -> messages.Probabilities:
    return {label: round(p, _DIGITS) for label, p in zip(labels, probabilities, strict=True)}
