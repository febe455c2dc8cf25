"""`emostream live --enroll`: learns a speaker's voice from ordinary talk."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from ..audio.microphone import MicrophoneSource, find_device
from ..audio.sources import FileSource, Item, Pcm, Source
from ..audio.tee import TeeSource
from ..clock import WallClock
from ..config import SegmenterSettings, Settings
from ..display_paths import printable
from ..errors import AnalysisError, ConfigError
from ..inference.engine import Engine
from ..pipeline.recording_baseline import first_pass
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..plurals import counted
from ..protocol.messages import EnrolledVoice
from ..server.local_stream import run_until_stopped, stop_on_signals
from ..speakers.store import SpeakerStore, new_speaker
from ..speakers.voice import voice_of
from .console import load_engine, print_line, print_models

_SECONDS: Final = 15.0
_PIECE_MS: Final = 3_000
"""Talk without pauses is cut into utterances of this length, so that it counts for several."""


def enroll_speaker(name: str, settings: Settings, file: Path | None, microphone: str | None) -> None:
    """Learn the voice and save it.

    Raises ConfigError where the model takes no baseline or the name is not valid, SourceError where the audio
    cannot be read, and AnalysisError where there was no speech.
    """
    store, console, clock = SpeakerStore(), Console(stderr=True), WallClock()
    store.check_name(name)
    if settings.audio.channels == "split":
        raise ConfigError(
            "expected one voice to enroll, got --channels split; choose a channel by its number"
        )
    device = find_device(microphone) if file is None else None
    settings = msgspec.structs.replace(
        settings,
        models=msgspec.structs.replace(settings.models, asr="none"),  # words tell nothing of a voice
    )
    engine = load_engine(settings, console, clock)
    print_models(console, engine.model_info)
    if engine.model_info.voice_probe is None:
        raise ConfigError(
            "expected an emotion model that knows speakers, got one without a baseline; choose another "
            "--checkpoint"
        )

    async def run() -> EnrolledVoice:
        if device is not None:
            print_line(
                console, f"Speak as you usually do, for {_SECONDS:.0f} seconds. {device.name} listens."
            )
            return await _learn(_limited(MicrophoneSource(device)), engine, settings, clock)
        assert file is not None
        return await _learn(FileSource(file, track=settings.audio.track), engine, settings, clock)

    voice = asyncio.run(run())
    path = store.save(name, new_speaker(voice, engine.model_info.emotion))
    print_line(
        console,
        f"{name} is enrolled with {counted(voice.utterances, 'utterance')}: {printable(path)} "
        "(no sound is kept)",
    )


async def _learn(source: Source, engine: Engine, settings: Settings, clock: WallClock) -> EnrolledVoice:
    """Raises AnalysisError where there was no speech, or Ctrl-C ended it."""
    segmenter = msgspec.structs.replace(settings.segmenter, max_utterance_ms=_piece_ms(settings.segmenter))
    async with engine.running():
        session = first_pass(
            source,
            partial(make_vad, settings.vad),
            engine,
            SessionSettings(segmenter, channels=settings.audio.channels),
            clock,
        )
        complete = await run_until_stopped(session, stop_on_signals())
    (speaker,) = session.speakers
    voice = None if speaker is None else voice_of(speaker, engine.model_info)
    if not complete or voice is None:
        raise AnalysisError("expected some seconds of speech, got none; speak for longer, or louder")
    return voice


def _piece_ms(segmenter: SegmenterSettings) -> int:
    """At least what the other settings allow."""
    return max(_PIECE_MS, 2 * (segmenter.min_silence_ms + segmenter.pre_roll_ms))


def _limited(source: Source) -> Source:
    """The source, which stops by itself after `_SECONDS`."""
    received = 0

    def count(item: Item) -> None:
        nonlocal received
        if isinstance(item, Pcm):
            received += len(item.block)
            if received >= _SECONDS * source.sample_rate_hz:
                source.stop()

    return TeeSource(source, [count])
