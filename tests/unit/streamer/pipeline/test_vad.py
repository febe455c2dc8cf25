"""The detectors compared with the libraries they come from, and with real speech."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from faster_whisper.vad import get_vad_model

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.config import VadSettings
from emostream.streamer.errors import ConfigError
from emostream.streamer.pipeline.vad import SileroVad, make_vad
from tests.support.fakes import FRAME, silence, voice
from tests.support.shared import DATA, needs_data

BOTH = [VadSettings(name="webrtc"), VadSettings(name="silero")]


def flags(settings: VadSettings, samples: Samples) -> list[bool]:
    vad = make_vad(settings)
    length = len(samples) - len(samples) % FRAME
    return vad.is_speech(samples[:length].reshape(-1, FRAME))


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_silence_is_not_speech(settings: VadSettings) -> None:
    assert not any(flags(settings, silence(2_000)))


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_blocks_do_not_matter(settings: VadSettings) -> None:
    samples = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 8 * 16_000].reshape(
        -1, FRAME
    )
    vad, cuts = make_vad(settings), [0, 1, 1, 4, 40, len(samples)]
    by_parts = [flag for a, b in pairwise(cuts) for flag in vad.is_speech(samples[a:b])]
    assert by_parts == make_vad(settings).is_speech(samples)
    assert {True, False} == set(by_parts)


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_two_streams_do_not_affect_each_other(settings: VadSettings) -> None:
    samples = voice(1_000)
    alone = flags(settings, samples)
    first, second = make_vad(settings), make_vad(settings)
    interleaved = []
    for frame in samples.reshape(-1, FRAME):
        interleaved += first.is_speech(frame[np.newaxis])
        second.is_speech(frame[np.newaxis, ::-1])
    assert interleaved == alone


@needs_data
@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_real_speech_is_speech(settings: VadSettings) -> None:
    samples, _ = soundfile.read(DATA / "recordings" / "jfk.flac", dtype="float32")
    assert 0.4 < np.mean(flags(settings, samples)) < 0.95


@needs_data
def test_silero_keeps_its_state_as_the_original_does() -> None:
    """faster-whisper runs all windows of a recording in one call; this class runs them one by one."""
    samples, _ = soundfile.read(DATA / "recordings" / "jfk.flac", dtype="float32")
    samples = samples[: len(samples) // 2560 * 2560]  # whole frames and whole windows
    reference = np.ravel(get_vad_model()(samples.copy()))
    vad = SileroVad(0.5)
    probabilities = []
    for i, frame in enumerate(samples.reshape(-1, FRAME)):
        before = i * FRAME // 512
        vad.is_speech(frame[np.newaxis])
        probabilities += [vad.probability] * ((i + 1) * FRAME // 512 - before)
    # The original zeroes the end of its last window when it makes the context of the first.
    np.testing.assert_allclose(probabilities[:-1], reference[:-1], atol=1e-4)


@pytest.mark.parametrize("invalid", [{"aggressiveness": 4}, {"threshold": 0.0}, {"threshold": 1.5}])
def test_settings_out_of_range_are_refused(invalid: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected vad"):
        VadSettings(**invalid)  # type: ignore[arg-type]
