"""The models of this process, shared by streams of any event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing

import numpy as np
import pytest

from emostream.integrations import LocalEngine
from emostream.integrations.emotion_stream import EmotionStream
from emostream.models import CheckpointError
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.clock import Clock
from emostream.streamer.config import Settings
from emostream.streamer.errors import ConfigError, ConnectError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol import messages
from tests.support.fakes import silence, voice
from tests.support.local_engines import Loads, fake_local_engine
from tests.support.shared import REPO

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
SPEECH = encode_pcm(
    np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])[:, None],
    "pcm_s16le",
)


async def events_of(engine: LocalEngine, audio: bytes = SPEECH) -> list[messages.ServerEvent]:
    stream = EmotionStream(engine, START)
    for first in range(0, len(audio), 640):
        stream.send(audio[first : first + 640])
    stream.end()
    async with asyncio.timeout(20), aclosing(stream.events()) as events:
        return [event async for event in events]


def finals(events: list[messages.ServerEvent]) -> list[messages.Emotion]:
    return [event for event in events if isinstance(event, messages.Emotion) and event.final]


async def test_a_stream_gives_the_events_of_its_audio() -> None:
    with fake_local_engine() as engine:
        events = await events_of(engine)
    assert len(finals(events)) == 2
    assert isinstance(events[-1], messages.Closed)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_four_streams_share_one_engine() -> None:
    load = Loads()
    with fake_local_engine(load) as engine:
        results = await asyncio.gather(*(events_of(engine) for _ in range(4)))
    assert [len(finals(events)) for events in results] == [2] * 4
    assert load.count == 1


def test_streams_of_several_loops_share_one_engine() -> None:
    load = Loads()
    with fake_local_engine(load) as engine:
        results = [asyncio.run(events_of(engine)) for _ in range(2)]
    assert [len(finals(events)) for events in results] == [2, 2]
    assert load.count == 1


def test_the_same_models_are_one_engine_of_the_process() -> None:
    one = LocalEngine.shared(asr="none")
    try:
        assert LocalEngine.shared(asr="none") is one
        assert LocalEngine.shared(asr="tiny.en") is not one
    finally:
        LocalEngine.shared(asr="tiny.en").close()
        one.close()
    assert LocalEngine.shared(asr="none") is not one


async def test_models_that_cannot_be_loaded_raise_and_are_tried_again() -> None:
    fake = Loads()

    def load(settings: Settings, clock: Clock) -> Engine:
        if not fake.count:
            fake.count += 1
            raise CheckpointError("expected a checkpoint, got none")
        return fake(settings, clock)

    engine = LocalEngine(load=load)
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        await engine.ready()
    try:
        await engine.ready()
    finally:
        engine.close()


def test_a_process_ends_well_while_models_still_load() -> None:
    """And its engine with it: nothing of it runs on in the middle of the interpreter's end."""
    program = """
import time
from tests.support.local_engines import Loads
from emostream.integrations import LocalEngine

class Slow(Loads):
    def __call__(self, settings, clock):
        time.sleep(0.2)
        made = super().__call__(settings, clock)
        print("loaded")
        return made

LocalEngine(load=Slow())._start()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "loaded\n", "")


async def test_a_start_that_is_not_taken_raises() -> None:
    start = messages.Start(
        encoding="pcm_s16le",
        sample_rate=16_000,
        channels=1,
        options=messages.Options(max_utterance_ms=99_000),
    )
    with fake_local_engine() as engine, pytest.raises(ConfigError, match="max_utterance_ms"):
        async with asyncio.timeout(20), aclosing(EmotionStream(engine, start).events()) as events:
            await anext(events)


async def test_closing_the_engine_ends_its_streams_with_an_error() -> None:
    with fake_local_engine() as engine:
        stream = EmotionStream(engine, START)
        stream.send(SPEECH)
        async with asyncio.timeout(20), aclosing(stream.events()) as events:
            assert isinstance(await anext(events), messages.SpeechStarted)
            await asyncio.to_thread(engine.close)
            with pytest.raises(ConnectError, match="an engine that runs"):
                async for _ in events:
                    pass


async def test_a_stream_that_is_left_early_ends_its_session() -> None:
    with fake_local_engine() as engine:
        stream = EmotionStream(engine, START)
        stream.send(SPEECH)
        async with asyncio.timeout(20), aclosing(stream.events()) as events:
            await anext(events)
        # The engine's thread ends: no session is left behind.
        await asyncio.to_thread(engine.close)
        assert len(finals(await events_of(engine))) == 2
