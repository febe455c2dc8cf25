"""A client's choice of baseline, speaker and channels, over the server's settings."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from emostream.models import LABELS, BaselineSettings, SpeakerBaseline
from emostream.streamer.clock import WallClock
from emostream.streamer.config import AudioSettings, Channels, Settings, SpeakerSettings
from emostream.streamer.errors import BadStartError, ConfigError
from emostream.streamer.inference.backend import ModelInfo
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server import session_factory
from emostream.streamer.server.session_factory import create_session, remarks, speaker_options
from emostream.streamer.server.websocket_source import validate_start
from emostream.streamer.speakers.voice import voice_of
from tests.support.fakes import AdaptiveRecognizer, LoudnessVad

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


def begin(channels: int, choice: Channels | None, server: Channels = "mix", **fields: Any) -> int:
    """How many detectors the session has: one for each channel that is heard."""
    made = 0

    class Counted(LoudnessVad):
        def __init__(self) -> None:
            nonlocal made
            made += 1

    options = messages.Options(channels=choice, return_speaker=fields.pop("return_speaker", None))
    first = messages.Start(encoding="mulaw", sample_rate=8_000, channels=channels, options=options, **fields)
    engine = Engine(None, AdaptiveRecognizer(), WallClock())
    settings = Settings(audio=AudioSettings(channels=server))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_factory, "make_vad", lambda _: Counted())
        create_session(first, EventLog("test"), settings, engine, WallClock())
    return made


@pytest.mark.parametrize(
    ("channels", "choice", "server", "heard"),
    [
        (2, None, "mix", 1),
        (2, "split", "mix", 2),
        (2, None, "split", 2),
        (2, "mix", "split", 1),
        (64, 64, "mix", 1),
    ],
)
def test_the_client_chooses_the_channels(
    channels: int, choice: Channels | None, server: Channels, heard: int
) -> None:
    assert begin(channels, choice, server) == heard


@pytest.mark.parametrize(
    ("channels", "choice", "message"),
    [
        (2, 3, "expected a channel of 1 to 2 in start.channels, which has 2 channels, got 3"),
        (1, 0, "expected a channel of 1 to 1 in start.channels, which has one channel, got 0"),
        (17, "split", "expected at most 16 channels to split"),
        (65, "mix", "expected start.channels of 1 to 64, got 65"),
        (0, "mix", "expected start.channels of 1 to 64, got 0"),
    ],
)
def test_channels_that_there_are_not(channels: int, choice: Channels, message: str) -> None:
    with pytest.raises(BadStartError, match=message):
        begin(channels, choice)


def test_several_channels_have_not_one_known_speaker() -> None:
    voice = voice_of(STATE, INFO)
    with pytest.raises(BadStartError, match=r"expected one channel with start\.speaker"):
        begin(2, "split", speaker=voice)
    with pytest.raises(BadStartError, match=r"expected one channel with start\.options\.return_speaker"):
        begin(2, "split", return_speaker=True)
    assert begin(1, "split", return_speaker=True) == 1


@pytest.mark.parametrize("rate_hz", [999, 768_001])
def test_rates_that_no_file_has(rate_hz: int) -> None:
    first = messages.Start(encoding="alaw", sample_rate=rate_hz, channels=1)
    with pytest.raises(BadStartError, match=r"expected start\.sample_rate of 1000 to 768000"):
        validate_start(first, "mix")


@pytest.mark.parametrize(
    ("language", "known", "told"),
    [
        ("de", ("de", "en"), None),
        ("EN_us", ("de", "en"), None),
        (None, ("en",), None),
        ("tlh", (), None),  # a transcriber that does not tell
        (
            "tlh",
            ("de", "en"),
            "one of the 2 languages of asr, got 'tlh': the hint is ignored; the language is",
        ),
        ("de-AT", ("en",), "to be en of asr, got 'de-AT': the hint is ignored; the words will be wrong"),
    ],
)
def test_an_unknown_language_is_told(language: str | None, known: tuple[str, ...], told: str | None) -> None:
    info = ModelInfo("asr", "model", "cpu", LABELS, asr_languages=known)
    said = remarks(msgspec.structs.replace(start(), language=language), (), info)
    assert len(said) == (told is not None)
    assert told is None or told in said[0]
