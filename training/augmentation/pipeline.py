"""The augmentation pipeline of a training clip and its alignment, in the order of a real recording."""

from __future__ import annotations

import numpy as np

from emostream.models import Alignment, Samples

from ..data.alignments import shift_alignment
from .asr_noise import simulate_asr_errors
from .codec import random_codec
from .confusions import Confusions
from .pitch_tempo import SLOWEST_TEMPO, random_pitch_and_tempo
from .reverb import random_reverb
from .settings import AugmentSettings
from .waveform import (
    MOST_SILENCE_S,
    SLOWEST_SPEED,
    add_noise,
    random_equalizer,
    random_silence,
    random_speed,
)


def augment(
    samples: Samples, alignment: Alignment, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[Samples, Alignment]:
    """Pitch and tempo, speed, silence, reverberation, noise, microphone and codec, each with its probability.

    Each augmentation has a generator of its own: changing the probability of one leaves the others as they
    are, so runs that differ in one setting get the same clips otherwise. Only pitch and tempo, speed and
    silence change the length.
    """
    speed, silence, reverb, noise, microphone, codec, voice = rng.spawn(7)
    tempo, factor, front = 1.0, 1.0, 0
    if voice.random() < settings.voice:
        samples, tempo = random_pitch_and_tempo(samples, voice)
    if speed.random() < settings.speed:
        samples, factor = random_speed(samples, speed)
    if silence.random() < settings.silence:
        samples, front = random_silence(samples, silence)
    if reverb.random() < settings.reverb:
        samples = random_reverb(samples, reverb)
    if noise.random() < settings.noise:
        samples = add_noise(samples, noise)
    if microphone.random() < settings.equalizer:
        samples = random_equalizer(samples, microphone)
    if codec.random() < settings.codec:
        samples = random_codec(samples, codec)
    return samples, shift_alignment(alignment, tempo * factor, front)


def longest_augmented_s(seconds: float, settings: AugmentSettings) -> float:
    """The most that a clip of so many seconds can last after `augment`."""
    if settings.voice > 0:
        seconds /= SLOWEST_TEMPO
    if settings.speed > 0:
        seconds /= SLOWEST_SPEED
    return seconds + 2 * MOST_SILENCE_S if settings.silence > 0 else seconds


def augment_text(
    text: str, settings: AugmentSettings, rng: np.random.Generator, confusions: Confusions
) -> str:
    """The text with simulated transcription errors, with the probability of the settings."""
    if rng.random() >= settings.text_noise:
        return text
    return simulate_asr_errors(text, confusions, settings.text_errors, rng)
