"""An enrolled voice on the wire and in files, to and from the models' baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emostream.models import SpeakerBaseline

from ..errors import ConfigError
from ..inference.backend import ModelInfo
from ..inference.voice_probe import same_model
from ..protocol.messages import EnrolledVoice


def voice_of(state: SpeakerBaseline, info: ModelInfo) -> EnrolledVoice | None:
    """info: of the models that made the state. None before the first utterance, or without their probe."""
    if state.total is None or info.voice_probe is None:
        return None
    return EnrolledVoice(
        total=state.total.astype("<f8").tobytes(),
        weight=state.weight,
        utterances=state.utterances,
        probe=np.array(info.voice_probe, "<f4").tobytes(),
    )


def baseline_of(voice: EnrolledVoice, info: ModelInfo) -> SpeakerBaseline:
    """info: of the models that are to use it. Raises ConfigError where they take no baseline or are not those
    that made it, and for a damaged voice.
    """
    if info.baseline is None or info.voice_probe is None:
        raise ConfigError(
            "expected an emotion model that knows speakers, got one without a baseline; "
            "leave the speaker out or choose another checkpoint"
        )
    total, probe = _numbers(voice.total, "<f8"), _numbers(voice.probe, "<f4")
    if not same_model(probe, info.voice_probe):
        raise ConfigError(
            "expected a speaker enrolled with this emotion model, got one of another; enroll again"
        )
    valid = math.isfinite(voice.weight) and voice.weight > 0 and voice.utterances > 0
    if not valid or len(total) != len(info.voice_probe) or not all(map(math.isfinite, total)):
        raise ConfigError("expected an enrolled voice, got damaged numbers; enroll again")
    return SpeakerBaseline(np.array(total), voice.weight, voice.utterances)


def _numbers(data: bytes, dtype: str) -> Sequence[float]:
    """Empty where the length does not fit."""
    size = np.dtype(dtype).itemsize
    return [] if len(data) % size else np.frombuffer(data, dtype).tolist()
