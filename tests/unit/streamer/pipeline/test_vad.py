"""The detectors against the libraries they come from, and against real speech."""

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


def flags(settings: VadSettings, sound: Samples) -> list[bool]:
    vad = make_vad(settings)
    whole = len(sound) - len(sound) % FRAME
    return vad.is_speech(sound[:whole].reshape(-1, FRAME))


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_silence_is_no_speech(settings: VadSettings) -> None:
    assert not any(flags(settings, silence(2_000)))


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_blocks_do_not_matter(settings: VadSettings) -> None:
    sound = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 8 * 16_000].reshape(-1, FRAME)
    vad, cuts = make_vad(settings), [0, 1, 1, 4, 40, len(sound)]
    heard = [flag for a, b in pairwise(cuts) for flag in vad.is_speech(sound[a:b])]
    assert heard == make_vad(settings).is_speech(sound)
    assert {True, False} == set(heard)


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_two_streams_do_not_hear_each_other(settings: VadSettings) -> None:
    sound = voice(1_000)
    alone = flags(settings, sound)
    first, second = make_vad(settings), make_vad(settings)
    together = []
    for frame in sound.reshape(-1, FRAME):
        together += first.is_speech(frame[np.newaxis])
        second.is_speech(frame[np.newaxis, ::-1])
    assert together == alone


@needs_data
@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_real_speech_is_speech(settings: VadSettings) -> None:
    sound, _ = soundfile.read(DATA / "recordings" / "jfk.flac", dtype="float32")
    assert 0.4 < np.mean(flags(settings, sound)) < 0.95


@needs_data
def test_silero_carries_its_state_as_the_original_does() -> None:
    """faster-whisper runs all windows of a recording in one call; we run them one by one."""
    sound, _ = soundfile.read(DATA / "recordings" / "jfk.flac", dtype="float32")
    sound = sound[: len(sound) // 2560 * 2560]  # whole frames and whole windows
    theirs = np.ravel(get_vad_model()(sound.copy()))
    vad = SileroVad(0.5)
    ours = []
    for i, frame in enumerate(sound.reshape(-1, FRAME)):
        before = i * FRAME // 512
        vad.is_speech(frame[np.newaxis])
        ours += [vad.probability] * ((i + 1) * FRAME // 512 - before)
    # The original blanks the end of its very last window on the way to the context of the first.
    np.testing.assert_allclose(ours[:-1], theirs[:-1], atol=1e-4)


@pytest.mark.parametrize("wrong", [{"aggressiveness": 4}, {"threshold": 0.0}, {"threshold": 1.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected vad"):
        VadSettings(**wrong)  # type: ignore[arg-type]
