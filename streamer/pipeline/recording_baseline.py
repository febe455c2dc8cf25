"""The baseline of a whole recording: what all its utterances say of the voice.

A first pass, without words and without events; a second one then judges each utterance against the result.
Enrolment is such a first pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from emostream.models import SpeakerBaseline

from ..audio.sources import Source
from ..clock import Clock
from ..inference.backend import InferenceBackend
from .event_log import EventLog
from .running_baseline import SpeakerOptions
from .session import Session
from .session_settings import SessionSettings
from .vad import Vad


def first_pass(
    source: Source,
    new_vad: Callable[[], Vad],
    backend: InferenceBackend,
    settings: SessionSettings,
    clock: Clock,
) -> Session:
    """Its `speakers` are the baselines of the recording's channels once it has run; None where the model
    takes none.
    """
    without_words = replace(
        settings, transcribe=False, speculate=False, interim_interval_ms=0, interim_words_interval_ms=0
    )
    return Session(source, new_vad, backend, EventLog("first pass"), [], without_words, clock)


def second_pass_settings(
    settings: SessionSettings, baselines: Sequence[SpeakerBaseline | None]
) -> SessionSettings:
    """baselines: of the first pass, of each channel, which every utterance of it is judged against."""
    return replace(settings, speakers=[SpeakerOptions(start=baseline, fixed=True) for baseline in baselines])
