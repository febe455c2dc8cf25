"""A live session that was kept gives the same events when it is played again, losses and all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm, SourceWarning
from emostream.streamer.audio.tee import TeeSource
from emostream.streamer.cli import live
from emostream.streamer.cli.options import settings_from
from emostream.streamer.config import LiveSettings, SegmenterSettings, Settings, VadSettings
from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.conversions import describe_models
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session, SessionSettings
from emostream.streamer.pipeline.vad import make_vad
from emostream.streamer.protocol import messages
from emostream.streamer.replay.capture import (
    RecordedSource,
    SessionRecorder,
    create_session_folder,
    is_session_folder,
    read_session_header,
)
from emostream.streamer.replay.discovery import find_jobs
from emostream.streamer.server.local_stream import serve_local_stream
from tests.support.fake_portaudio import FakePortAudio, card
from tests.support.fakes import FakeRecognizer, FakeTranscriber, ManualClock, silence, voice
from tests.support.programs import PATIENCE_S, json_lines, run
from tests.support.streams import ListSink, comparable

__all__ = ["card"]

RNG = np.random.default_rng(3)
SETTINGS = Settings(
    segmenter=SegmenterSettings(min_silence_ms=300, tail_ms=100), vad=VadSettings(aggressiveness=1)
)


class Script:
    """A source that gives these items."""

    def __init__(self, items: Sequence[Item], rate: int = 16_000, channels: int = 1) -> None:
        self._items = items
        self.sample_rate_hz = rate
        self.channels = channels

    def stop(self) -> None:
        raise AssertionError("nobody stops it")

    async def items(self) -> AsyncIterator[Item]:
        for item in self._items:
            yield item


def blocks(sound: np.ndarray, least: int = 1, most: int = 4_000) -> list[Item]:
    """Cut anywhere."""
    cuts = np.cumsum(RNG.integers(least, most, len(sound)))
    return [Pcm(one) for one in np.split(sound, cuts[cuts < len(sound)])]


def mono(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)[:, None]


def eventful() -> list[Item]:
    """A session with everything in it that can happen beside sound."""
    return [
        *blocks(mono(silence(300), voice(1_000), silence(600), voice(700, seed=1))),
        AudioGap(120, "a short one, in mid-speech"),
        *blocks(mono(voice(400, seed=2))),
        AudioGap(90_000, "a long one"),
        SourceWarning("bad_message", "expected JSON"),
        *blocks(mono(voice(800, seed=3))),
        Flush(),
        *blocks(mono(voice(900, seed=4), silence(700))),
        AudioGap(40, "the last"),
    ]


def engine() -> Engine:
    return Engine(FakeTranscriber(), FakeRecognizer(), ManualClock())


async def kept(folder: Path, source: Script) -> list[messages.ServerEvent]:
    """What a live session says that is kept on the way."""
    one, sink = engine(), ListSink()
    models = describe_models(one, SETTINGS.vad)
    with SessionRecorder(
        folder, "test", source.sample_rate_hz, source.channels, SETTINGS, models
    ) as recorder:
        live_settings = SessionSettings.paced(SETTINGS.segmenter, LiveSettings())
        async with one.running():
            await Session(
                TeeSource(source, [recorder.take]),
                make_vad(SETTINGS.vad),
                one,
                EventLog("kept"),
                [sink, recorder],
                live_settings,
                ManualClock(),
            ).run()
    return sink.events


async def again(folder: Path) -> list[messages.ServerEvent]:
    header = read_session_header(folder)
    one, sink = engine(), ListSink()
    async with one.running():
        await Session(
            RecordedSource(folder),
            make_vad(header.vad),
            one,
            EventLog("again"),
            [sink],
            SessionSettings(header.segmenter),
            ManualClock(),
        ).run()
    return sink.events


async def given(folder: Path) -> list[Item]:
    return [item async for item in RecordedSource(folder).items()]


def joined(items: Sequence[Item]) -> list[object]:
    """Sound that lies side by side is one, whatever its cuts."""
    out: list[object] = []
    sound: list[np.ndarray] = []
    for item in [*items, None]:
        if isinstance(item, Pcm):
            sound.append(item.block)
            continue
        if sound:
            out.append(np.concatenate(sound).tobytes())
            sound = []
        if item is not None:
            out.append(item)
    return out


async def test_played_again_it_says_the_same(tmp_path: Path) -> None:
    told = await kept(tmp_path / "session", Script(eventful()))
    assert len([one for one in told if isinstance(one, messages.Emotion) and one.final]) >= 4
    assert len([one for one in told if isinstance(one, messages.Dropped)]) == 3
    assert comparable(await again(tmp_path / "session")) == comparable(told)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 1), (48_000, 2)])
async def test_the_sound_and_what_happened_come_back_bit_for_bit(
    tmp_path: Path, rate: int, channels: int
) -> None:
    sound = RNG.normal(0, 0.3, (3 * rate, channels)).astype(np.float32)
    sound[5] = 1.7  # beyond full scale
    script: list[Item] = [
        AudioGap(70, "before any sound"),
        *blocks(sound[:rate]),
        Flush(),
        AudioGap(1, "twice at a place"),
        *blocks(sound[rate:]),
        AudioGap(2, "at the end"),
    ]
    await kept(tmp_path / "session", Script(script, rate, channels))
    assert joined(await given(tmp_path / "session")) == joined(script)
    read, found_rate = soundfile.read(tmp_path / "session" / "audio.wav", dtype="float32", always_2d=True)
    assert found_rate == rate
    np.testing.assert_array_equal(read, sound)


async def test_the_events_stand_beside_it(tmp_path: Path) -> None:
    told = await kept(tmp_path / "session", Script(eventful()))
    lines = (tmp_path / "session" / "events.jsonl").read_text().splitlines()
    assert [messages.decode_server_message(line) for line in lines] == told
    header = read_session_header(tmp_path / "session")
    assert (header.segmenter, header.vad) == (SETTINGS.segmenter, SETTINGS.vad)
    assert header.models.emotion == "fake emotion"


async def test_what_a_kill_leaves_can_be_played_up_to_there(tmp_path: Path) -> None:
    """Nobody closes the files: the child ends without a word."""
    folder = tmp_path / "session"
    sound = RNG.normal(0, 0.3, (16_000 * 20, 1)).astype(np.float32)
    if (child := os.fork()) == 0:
        recorder = SessionRecorder(
            folder, "test", 16_000, 1, SETTINGS, describe_models(engine(), SETTINGS.vad)
        ).__enter__()
        for first in range(0, len(sound), 1_600):
            recorder.take(Pcm(sound[first : first + 1_600]))
            if first == 160_000:
                recorder.take(AudioGap(50, "lost"))
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, child, 0)
    with (folder / "session.jsonl").open("ab") as file:
        file.write(b'{"type":"gap","at_sam')  # cut in the middle of a line
    before, lost, *rest = joined(await given(folder))
    assert (before, lost) == (sound[:161_600].tobytes(), AudioGap(50, "lost"))
    assert rest == [sound[161_600:].tobytes()]


# The folder ---------------------------------------------------------------------------------------


def test_a_folder_is_for_its_owner_and_for_one_session(tmp_path: Path) -> None:
    create_session_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected an empty folder, got files in"):
        create_session_folder(tmp_path)
    with pytest.raises(ConfigError, match=r"expected a folder at .*file, got"):
        create_session_folder(tmp_path / "file")


async def test_kept_sessions_are_found_among_recordings(tmp_path: Path) -> None:
    await kept(tmp_path / "inside" / "session", Script(blocks(mono(voice(500)))))
    soundfile.write(tmp_path / "inside" / "talk.wav", voice(500), 16_000)
    jobs, failures = find_jobs([tmp_path / "inside"])
    assert failures == []
    assert [(job.name, job.session is not None) for job in jobs] == [("session", True), ("talk.wav", False)]
    (job,), _ = find_jobs([tmp_path / "inside" / "session"])
    assert (job.name, job.seconds) == ("session", 0.5)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"", "session.jsonl:1, got: Input data was truncated"),
        (b"hello\n", "session.jsonl:1, got: JSON is malformed"),
        (
            b'{"type":"gap","at_samples":0,"ms":1,"reason":""}\n',
            "session.jsonl:1, got: Invalid value 'gap'",
        ),
    ],
)
async def test_a_header_that_cannot_be_read_is_said_in_a_line(tmp_path: Path, line: bytes, told: str) -> None:
    await kept(tmp_path / "session", Script(blocks(mono(voice(500)))))
    (tmp_path / "session" / "session.jsonl").write_bytes(line)
    assert is_session_folder(tmp_path / "session")
    jobs, (failure,) = find_jobs([tmp_path / "session"])
    assert jobs == []
    assert told in str(failure)


async def test_a_mark_that_cannot_be_read_ends_the_replay_with_its_line(tmp_path: Path) -> None:
    await kept(tmp_path / "session", Script(eventful()))
    path = tmp_path / "session" / "session.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[2:]]))
    with pytest.raises(SourceError, match=r"session\.jsonl:3, got: Object missing required field `type`"):
        await given(tmp_path / "session")


# The commands -------------------------------------------------------------------------------------


def test_what_the_microphone_heard_is_kept_and_replayed(
    tmp_path: Path, card: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`emostream record` with the bundled model, and a sound card that the test plays."""
    folder = tmp_path / "session"

    class Told:
        """A sink that notices the first final."""

        def __init__(self) -> None:
            self.final = asyncio.Event()

        async def send(self, event: messages.ServerEvent) -> None:
            if isinstance(event, messages.Emotion) and event.final:
                self.final.set()

    async def speak(opened: asyncio.Event, told: Told) -> None:
        await opened.wait()
        settings = card.opened[-1]
        size = settings["blocksize"]
        sound = np.repeat(np.concatenate([silence(300), voice(1_500), silence(900)]), 3)
        for first in range(0, len(sound) - size, size):
            block = sound[first : first + size, None].copy()
            settings["callback"](block, size, None, SimpleNamespace(input_overflow=False))
        await told.final.wait()
        os.kill(os.getpid(), signal.SIGINT)

    whole: Any = serve_local_stream

    async def speaking(*arguments: Any, **options: Any) -> None:
        *given, sinks, console = arguments
        opened, told = asyncio.Event(), Told()
        monkeypatch.setattr(card, "start", opened.set)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(speak(opened, told))
            await whole(*given, [*sinks, told], console, **options)

    monkeypatch.setattr(live, "serve_local_stream", speaking)
    live.run_microphone(
        settings_from(None, models={"asr": "none"}, server={"port": 0}), None, record_to=folder
    )
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    done = run("replay", str(folder), "--asr", "none")
    assert done.returncode == 0, done.stderr
    assert "was recorded with other models" not in done.stderr
    lasting = ("speech_started", "emotion", "dropped")
    assert [_plain(one) for one in json_lines(done.stdout) if one["type"] in lasting] == [
        _plain(one) for one in told if one["type"] in lasting and one.get("final", True)
    ]


def _plain(event: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name not in ("seq", "timing")}


def test_replay_says_when_the_models_are_others(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    asyncio.run(kept(folder, Script(blocks(mono(silence(300), voice(900), silence(700))))))
    done = run("replay", str(folder), "--asr", "none")
    assert done.returncode == 0, done.stderr
    assert f"{folder} was recorded with other models: fake words, fake emotion" in done.stderr
