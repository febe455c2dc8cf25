"""An enrolled voice becomes the baseline of the model that made it, and of no other."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from emostream.models import LABELS, BaselineSettings, SpeakerBaseline
from emostream.streamer.errors import ConfigError
from emostream.streamer.inference.backend import ModelInfo
from emostream.streamer.inference.voice_probe import probe_clip, same_model, voice_probe
from emostream.streamer.protocol import messages
from emostream.streamer.speakers.voice import baseline_of, voice_of
from tests.support.fakes import AdaptiveRecognizer, FakeRecognizer

SETTINGS = BaselineSettings()
STATE = (
    SpeakerBaseline()
    .updated(np.array([0.1, -2.0, 3.0], np.float32), 0.3, SETTINGS)
    .updated(np.array([1 / 3, 0.0, 1e-9], np.float32), 0.9, SETTINGS)
)
INFO = ModelInfo(None, "model", "cpu", LABELS, baseline=SETTINGS, voice_probe=(1.0, 0.25, -1 / 3))


def learned(state: SpeakerBaseline) -> messages.EnrolledVoice:
    voice = voice_of(state, INFO)
    assert voice is not None
    return voice


VOICE = learned(STATE)


def test_the_state_returns_bit_for_bit_from_the_wire() -> None:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1, speaker=VOICE)
    sent = messages.decode_client_message(messages.encode(start))
    assert isinstance(sent, messages.Start)
    assert sent.speaker is not None
    found = baseline_of(sent.speaker, INFO)
    assert found.total is not None
    assert STATE.total is not None
    assert found.total.tolist() == STATE.total.tolist()
    assert (found.weight, found.utterances) == (STATE.weight, 2)


def test_the_same_model_in_another_precision_may_use_it() -> None:
    assert INFO.voice_probe is not None
    rounded = tuple(value * 1.004 for value in INFO.voice_probe)
    assert baseline_of(VOICE, replace(INFO, voice_probe=rounded)).utterances == 2


@pytest.mark.parametrize("probe", [(1.0, 0.25, 1 / 3), (1.0, 0.25), (0.0, 0.0, 0.0)])
def test_another_model_refuses_it(probe: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="got one of another; enroll again"):
        baseline_of(VOICE, replace(INFO, voice_probe=probe))


def test_a_model_without_a_baseline_refuses_it() -> None:
    with pytest.raises(ConfigError, match="got one without a baseline"):
        baseline_of(VOICE, ModelInfo(None, "model", "cpu", LABELS))


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": 0.0},
        {"weight": float("nan")},
        {"utterances": 0},
        {"total": VOICE.total[:-8]},
        {"total": VOICE.total[:-1]},
        {"total": np.array([1.0, np.inf, 0.0]).tobytes()},
    ],
)
def test_damaged_numbers_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="damaged numbers"):
        baseline_of(msgspec.structs.replace(VOICE, **changes), INFO)


def test_nothing_is_learned_without_an_utterance_or_a_probe() -> None:
    assert voice_of(SpeakerBaseline(), INFO) is None
    assert voice_of(STATE, replace(INFO, voice_probe=None)) is None


def test_the_probe_is_the_model_s_state_of_one_fixed_sound() -> None:
    recognizer = AdaptiveRecognizer()
    expected = AdaptiveRecognizer.voice(probe_clip()).tolist()
    assert voice_probe(recognizer) == tuple(expected)
    assert voice_probe(FakeRecognizer()) is None
    clip = probe_clip()
    assert clip.seconds == 1.0
    assert 0.05 < np.abs(clip.samples).max() <= 1.0


def test_probes_are_compared_by_their_relative_distance() -> None:
    assert same_model([3.0, 4.0], [3.0, 4.2])
    assert not same_model([3.0, 4.0], [3.0, 4.5])
