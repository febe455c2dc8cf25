"""Speech told from other sounds: synthetic speech, made-up sounds, misread bytes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sounds import MISREAD, SOUNDS, Rng, Wave
from benchmarks.speech_presence import clips_of
from emostream.models import Clip, Samples, SpeechPresence, load_speech_detector
from emostream.models.speech_presence import has_implausible_levels, highest_mean
from emostream.streamer.audio.decode import decode_file
from tests.support.speech import spoken

DETECTOR = load_speech_detector()
# Silero takes these for speech now and then: `test_speech_presence_data.py` counts how often.
SPEECH_LIKE = {"laugh"}


def presence(samples: Samples | Wave) -> SpeechPresence:
    (found,) = DETECTOR.detect([Clip(np.asarray(samples, dtype=np.float32))])
    return found


@pytest.fixture(scope="module")
def speech() -> Samples:
    """The first utterance of the bundled recording."""
    return clips_of(decode_file(Path(str(files("emostream.demo") / "recording.ogg"))))[0]


@pytest.mark.parametrize("level", [1.0, 0.1, 0.02])
def test_speech_is_speech_at_every_level(speech: Samples, level: float) -> None:
    found = presence(level * speech)
    assert (found.reason, found.doubtful) == (None, False)
    assert found.probability > 0.8


@pytest.mark.parametrize("voice", ["slt", "rms"])
def test_a_short_word_is_speech(voice: str, tmp_path: Path) -> None:
    assert presence(spoken("Certainly.", voice, tmp_path)).reason is None


@pytest.mark.parametrize("make", [SOUNDS[name] for name in SOUNDS if name not in SPEECH_LIKE])
def test_other_sounds_are_none(make: Callable[[Rng], Wave]) -> None:
    assert presence(make(np.random.default_rng(1))).reason is not None


def test_digital_silence_is_none() -> None:
    found = presence(np.zeros(16_000))
    assert found.reason == "no_speech"
    assert found.probability < 0.1


@pytest.mark.parametrize("samples", [0, 1, 511, 6_000])
def test_clips_of_any_length(samples: int) -> None:
    assert presence(np.zeros(samples)).reason == "no_speech"


@pytest.mark.parametrize(
    "kind", ["bytes swapped", "off by one byte", "float32 as int16", "mu-law as signed 8 bits"]
)
def test_misread_speech_is_told(kind: str, speech: Samples) -> None:
    assert presence(MISREAD[kind](speech)).reason == "misread_samples"


def test_speech_that_clips_is_still_speech(speech: Samples) -> None:
    assert presence(np.clip(8 * speech, -1, 1)).reason is None


def test_what_follows_does_not_take_the_speech_away(speech: Samples) -> None:
    followed = np.concatenate([speech, SOUNDS["white_noise"](np.random.default_rng(0)).astype(np.float32)])
    assert presence(followed).reason is None


def test_a_clip_s_result_does_not_depend_on_its_batch(speech: Samples) -> None:
    noise = SOUNDS["claps"](np.random.default_rng(0)).astype(np.float32)
    clips = [Clip(noise), Clip(speech), Clip(noise)]
    assert DETECTOR.detect(clips) == [result for clip in clips for result in DETECTOR.detect([clip])]


def test_the_threshold_decides(speech: Samples) -> None:
    probability = presence(speech).probability
    for threshold, reason in ((probability - 0.001, None), (probability + 0.001, "no_speech")):
        (found,) = load_speech_detector(threshold).detect([Clip(speech)])
        assert found.reason == reason


def test_the_highest_mean_is_that_of_a_slow_loop() -> None:
    values = np.random.default_rng(0).random(50).astype(np.float32)
    for length in (1, 7, 50):
        slow = max(float(np.mean(values[start : start + length])) for start in range(51 - length))
        assert highest_mean(values, length) == pytest.approx(slow, abs=1e-6)
    assert highest_mean(values, 100) == pytest.approx(float(values.sum()) / 100, abs=1e-6)
    assert highest_mean(values[:0], 3) == 0.0


def test_levels_of_speech_are_plausible(speech: Samples) -> None:
    assert not has_implausible_levels(speech)
    assert not has_implausible_levels(np.zeros(100, np.float32))
    assert has_implausible_levels(np.random.default_rng(0).uniform(-1, 1, 16_000).astype(np.float32))
