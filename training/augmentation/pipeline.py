"""Everything that may happen to a training clip, in the order of the world, and its words moved along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emostream.models import Alignment, Samples

from ..data.alignments import moved
from .asr_noise import simulate_asr_errors
from .codec import random_codec
from .pitch_tempo import random_pitch_and_tempo
from .reverb import random_reverb
from .settings import AugmentSettings
from .waveform import add_noise, change_speed, colour, pad_silence


def augment(
    samples: Samples, alignment: Alignment, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[Samples, Alignment]:
    """Another voice, cut by a segmenter, in a room with noise, through a microphone and over a line.

    Each harm has a generator of its own: another chance for one leaves what the others do as it was, so runs
    that differ in one setting hear the same clips otherwise. Only voice, speed and silence change the length.
    """
    speed, silence, room, noise, microphone, line, voice = rng.spawn(7)
    tempo, factor, front = 1.0, 1.0, 0
    if voice.random() < settings.voice:
        samples, tempo = random_pitch_and_tempo(samples, voice)
    if speed.random() < settings.speed:
        samples, factor = change_speed(samples, speed)
    if silence.random() < settings.silence:
        samples, front = pad_silence(samples, silence)
    if room.random() < settings.room:
        samples = random_reverb(samples, room)
    if noise.random() < settings.noise:
        samples = add_noise(samples, noise)
    if microphone.random() < settings.colour:
        samples = colour(samples, microphone)
    if line.random() < settings.codec:
        samples = random_codec(samples, line)
    return samples, moved(alignment, tempo * factor, front)


def augment_text(
    text: str, settings: AugmentSettings, rng: np.random.Generator, strangers: Sequence[str] = ()
) -> str:
    """The words as a transcriber may have misheard them; as they are where chance spares them."""
    return simulate_asr_errors(text, strangers, rng) if rng.random() < settings.text_noise else text
