"""A client's choice of baseline and speaker, over the server's settings."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from emostream.models import LABELS, BaselineSettings, SpeakerBaseline
from emostream.streamer.config import SpeakerSettings
from emostream.streamer.errors import ConfigError
from emostream.streamer.inference.backend import ModelInfo
from emostream.streamer.protocol import messages
from emostream.streamer.server.session_factory import speaker_options
from emostream.streamer.speakers.voice import voice_of

INFO = ModelInfo(None, "model", "cpu", LABELS, baseline=BaselineSettings(), voice_probe=(1.0, 2.0))
STATE = SpeakerBaseline().updated(np.array([3.0, 4.0], np.float32), 1.0, BaselineSettings())


def start(
    adapt: Literal["off", "stream"] | None = None, speaker: messages.EnrolledVoice | None = None
) -> messages.Start:
    options = messages.Options(adapt=adapt)
    return messages.Start(
        encoding="pcm_s16le", sample_rate=16_000, channels=1, options=options, speaker=speaker
    )


@pytest.mark.parametrize(
    ("server", "client", "adapts"),
    [
        ("stream", None, True),
        ("off", None, False),
        ("stream", "off", False),
        ("off", "stream", True),
    ],
)
def test_the_client_s_choice_goes_before_the_server_s(
    server: Literal["off", "stream"], client: Literal["off", "stream"] | None, adapts: bool
) -> None:
    options = speaker_options(SpeakerSettings(adapt=server), start(client), INFO)
    assert (options.adapt, options.start, options.fixed) == (adapts, None, False)


def test_an_enrolled_speaker_is_where_the_stream_begins() -> None:
    options = speaker_options(SpeakerSettings(), start(speaker=voice_of(STATE, INFO)), INFO)
    assert options.start is not None
    assert options.start.utterances == 1


def test_a_speaker_of_another_model_is_refused() -> None:
    other = ModelInfo(None, "other", "cpu", LABELS, baseline=BaselineSettings(), voice_probe=(2.0, -1.0))
    with pytest.raises(ConfigError, match="got one of another"):
        speaker_options(SpeakerSettings(), start(speaker=voice_of(STATE, INFO)), other)
