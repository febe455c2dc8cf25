"""What a replayed utterance is judged against: by the settings, or as a recorded session was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models import SpeakerBaseline
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import Adapt, Settings, SpeakerSettings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.conversions import describe_models
from emostream.streamer.replay.capture import SessionRecorder
from emostream.streamer.replay.discovery import ReplayJob, find_jobs
from emostream.streamer.replay.outputs import OutputSinks, ReplayOutcome
from emostream.streamer.replay.runner import ReplayOptions, ReplayRunner
from tests.support.fakes import AdaptiveRecognizer, silence, voice
from tests.support.streams import ListSink, finals

SPEECH = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])
PLAIN = ReplayOptions()


async def utterances_behind(place: Path, adapt: Adapt, options: ReplayOptions = PLAIN) -> list[int | None]:
    """For each final of the recording."""
    sink = ListSink()
    engine = Engine(None, AdaptiveRecognizer(), WallClock())
    settings = Settings(speaker=SpeakerSettings(adapt=adapt))

    @asynccontextmanager
    async def outputs(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
        yield OutputSinks([sink])

    runner = ReplayRunner(engine, settings, options, WallClock(), on_done=lambda outcome: None)
    jobs, _ = find_jobs([place])
    async with engine.running():
        (outcome,) = await runner.run_all(jobs, outputs, asyncio.Event())
    assert outcome.totals is not None
    assert outcome.totals.utterances == 2
    return [event.baseline_utterances for event in finals(sink.events)]


@pytest.mark.parametrize(
    ("adapt", "behind"), [("off", [None, None]), ("stream", [0, 1]), ("recording", [2, 2])]
)
async def test_the_settings_decide(tmp_path: Path, adapt: Adapt, behind: list[int | None]) -> None:
    soundfile.write(tmp_path / "talk.wav", SPEECH, 16_000)
    assert await utterances_behind(tmp_path / "talk.wav", adapt) == behind


async def test_an_enrolled_speaker_is_known_from_the_beginning(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", SPEECH, 16_000)
    known = SpeakerBaseline().updated(np.array([0.2, 1.0], np.float32), 1.0, AdaptiveRecognizer.baseline)
    options = ReplayOptions(speaker=known)
    assert await utterances_behind(tmp_path / "talk.wav", "stream", options) == [1, 2]


async def test_a_recorded_session_is_judged_as_it_was_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(speaker=SpeakerSettings(adapt="off"))
    models = describe_models(Engine(None, AdaptiveRecognizer(), WallClock()), settings.vad)
    with SessionRecorder(tmp_path / "session", "test", 16_000, 1, settings, models) as recorder:
        recorder.take(Pcm(SPEECH[:, np.newaxis]))
    assert await utterances_behind(tmp_path / "session", "stream") == [None, None]
    other = ReplayOptions(recorded_adapt=False)
    assert await utterances_behind(tmp_path / "session", "stream", other) == [0, 1]
