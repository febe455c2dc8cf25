"""A recorded session gives the same events when it is replayed, gaps included."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from emostream.streamer.audio.sources import AudioGap, Flush, Item, Pcm
from emostream.streamer.cli import live
from emostream.streamer.cli.options import settings_from
from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.pipeline.conversions import describe_models
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
from tests.support.demo_speech import demo_speech
from tests.support.fake_portaudio import FakePortAudio, card
from tests.support.fakes import silence, voice
from tests.support.programs import TIMEOUT_S, json_lines, run
from tests.support.scripted_sessions import (
    RNG,
    SETTINGS,
    ItemSource,
    eventful_items,
    fake_engine,
    mono,
    random_blocks,
    record_session,
    replay_session,
)
from tests.support.streams import comparable

__all__ = ["card"]


async def recorded_items(folder: Path) -> list[Item]:
    return [item async for item in RecordedSource(folder).items()]


def join_audio(items: Sequence[Item]) -> list[object]:
    """The items, with consecutive audio joined to one block of bytes."""
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


async def test_a_replay_gives_the_same_events(tmp_path: Path) -> None:
    events_before = await record_session(tmp_path / "session", ItemSource(eventful_items()))
    assert len([one for one in events_before if isinstance(one, messages.Emotion) and one.final]) >= 4
    assert len([one for one in events_before if isinstance(one, messages.Dropped)]) == 3
    assert comparable(await replay_session(tmp_path / "session")) == comparable(events_before)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 1), (48_000, 2)])
async def test_audio_and_other_items_are_read_back_bit_for_bit(
    tmp_path: Path, rate: int, channels: int
) -> None:
    sound = RNG.normal(0, 0.3, (3 * rate, channels)).astype(np.float32)
    sound[5] = 1.7  # beyond full scale
    script: list[Item] = [
        AudioGap(70, "before any sound"),
        *random_blocks(sound[:rate]),
        Flush(),
        AudioGap(1, "twice at a place"),
        *random_blocks(sound[rate:]),
        AudioGap(2, "at the end"),
    ]
    await record_session(tmp_path / "session", ItemSource(script, rate, channels))
    assert join_audio(await recorded_items(tmp_path / "session")) == join_audio(script)
    read, found_rate = soundfile.read(tmp_path / "session" / "audio.wav", dtype="float32", always_2d=True)
    assert found_rate == rate
    np.testing.assert_array_equal(read, sound)


async def test_the_events_are_recorded_too(tmp_path: Path) -> None:
    events_before = await record_session(tmp_path / "session", ItemSource(eventful_items()))
    lines = (tmp_path / "session" / "events.jsonl").read_text().splitlines()
    assert [messages.decode_server_message(line) for line in lines] == events_before
    header = read_session_header(tmp_path / "session")
    assert (header.segmenter, header.vad) == (SETTINGS.segmenter, SETTINGS.vad)
    assert header.models.emotion == "fake emotion"


async def test_the_recording_of_a_killed_process_can_be_replayed(tmp_path: Path) -> None:
    """The child process is killed before it closes its files."""
    folder = tmp_path / "session"
    sound = RNG.normal(0, 0.3, (16_000 * 20, 1)).astype(np.float32)
    if (child := os.fork()) == 0:
        recorder = SessionRecorder(
            folder, "test", 16_000, 1, SETTINGS, describe_models(fake_engine(), SETTINGS.vad)
        ).__enter__()
        for first in range(0, len(sound), 1_600):
            recorder.take(Pcm(sound[first : first + 1_600]))
            if first == 160_000:
                recorder.take(AudioGap(50, "lost"))
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, child, 0)
    with (folder / "session.jsonl").open("ab") as file:
        file.write(b'{"type":"gap","at_sam')  # cut in the middle of a line
    before, lost, *rest = join_audio(await recorded_items(folder))
    assert (before, lost) == (sound[:161_600].tobytes(), AudioGap(50, "lost"))
    assert rest == [sound[161_600:].tobytes()]


# The folder ---------------------------------------------------------------------------------------


def test_a_session_folder_is_private_and_for_one_session(tmp_path: Path) -> None:
    create_session_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected an empty folder, got files in"):
        create_session_folder(tmp_path)
    with pytest.raises(ConfigError, match=r"expected a folder at .*file, got"):
        create_session_folder(tmp_path / "file")


async def test_recorded_sessions_are_found_among_recordings(tmp_path: Path) -> None:
    await record_session(tmp_path / "inside" / "session", ItemSource(random_blocks(mono(voice(500)))))
    soundfile.write(tmp_path / "inside" / "talk.wav", voice(500), 16_000)
    jobs, failures = find_jobs([tmp_path / "inside"])
    assert failures == []
    assert [(job.name, job.session is not None) for job in jobs] == [("session", True), ("talk.wav", False)]
    (job,), _ = find_jobs([tmp_path / "inside" / "session"])
    assert (job.name, job.seconds) == ("session", 0.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "session.jsonl:1, got: Input data was truncated"),
        (b"hello\n", "session.jsonl:1, got: JSON is malformed"),
        (
            b'{"type":"gap","at_samples":0,"ms":1,"reason":""}\n',
            "session.jsonl:1, got: Invalid value 'gap'",
        ),
    ],
)
async def test_an_unreadable_header_is_reported_in_one_line(
    tmp_path: Path, line: bytes, message: str
) -> None:
    await record_session(tmp_path / "session", ItemSource(random_blocks(mono(voice(500)))))
    (tmp_path / "session" / "session.jsonl").write_bytes(line)
    assert is_session_folder(tmp_path / "session")
    jobs, (failure,) = find_jobs([tmp_path / "session"])
    assert jobs == []
    assert message in str(failure)


async def test_an_unreadable_line_ends_the_replay_with_an_error(tmp_path: Path) -> None:
    await record_session(tmp_path / "session", ItemSource(eventful_items()))
    path = tmp_path / "session" / "session.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[2:]]))
    with pytest.raises(SourceError, match=r"session\.jsonl:3, got: Object missing required field `type`"):
        await recorded_items(tmp_path / "session")


# The commands -------------------------------------------------------------------------------------


def test_a_microphone_session_is_recorded_and_replayed(
    tmp_path: Path, card: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`emostream record` with the bundled model, and a fake sound card."""
    folder = tmp_path / "session"

    class FirstFinal:
        """A sink that waits for the first final result."""

        def __init__(self) -> None:
            self.final = asyncio.Event()

        async def send(self, event: messages.ServerEvent) -> None:
            if isinstance(event, messages.Emotion) and event.final:
                self.final.set()

    async def speak(opened: asyncio.Event, first_final: FirstFinal) -> None:
        await opened.wait()
        settings = card.opened[-1]
        size = settings["blocksize"]
        sound = np.repeat(np.concatenate([silence(300), demo_speech(1_500), silence(900)]), 3)
        for first in range(0, len(sound) - size, size):
            block = sound[first : first + size, None].copy()
            settings["callback"](block, size, None, SimpleNamespace(input_overflow=False))
        await first_final.final.wait()
        os.kill(os.getpid(), signal.SIGINT)

    serve: Any = serve_local_stream

    async def speaking(*arguments: Any, **options: Any) -> None:
        *given, sinks, console = arguments
        opened, first_final = asyncio.Event(), FirstFinal()
        monkeypatch.setattr(card, "start", opened.set)
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            group.create_task(speak(opened, first_final))
            await serve(*given, [*sinks, first_final], console, **options)

    monkeypatch.setattr(live, "serve_local_stream", speaking)
    live.run_microphone(
        settings_from(None, models={"asr": "none"}, server={"port": 0}), None, record_to=folder
    )
    events_before = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    done = run("replay", str(folder), "--asr", "none")
    assert done.returncode == 0, done.stderr
    assert "was recorded with other models" not in done.stderr
    lasting = ("speech_started", "emotion", "dropped")
    assert [_plain(one) for one in json_lines(done.stdout) if one["type"] in lasting] == [
        _plain(one) for one in events_before if one["type"] in lasting and one.get("final", True)
    ]


def _plain(event: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name not in ("seq", "timing")}


def test_replay_reports_that_the_models_differ(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    asyncio.run(
        record_session(folder, ItemSource(random_blocks(mono(silence(300), voice(900), silence(700)))))
    )
    done = run("replay", str(folder), "--asr", "none")
    assert done.returncode == 0, done.stderr
    assert f"{folder} was recorded with other models: fake words, fake emotion" in done.stderr
