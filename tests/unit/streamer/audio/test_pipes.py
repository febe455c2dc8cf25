"""Recordings through pipes: every container, lengths that are not known, and an end from outside."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from emostream.streamer.audio.decode import AudioFile
from emostream.streamer.audio.pipes import STDIN
from emostream.streamer.audio.sources import FileSource, Pcm
from emostream.streamer.errors import SourceError
from emostream.streamer.replay.discovery import find_jobs
from tests.support.wav_file import wav_bytes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="expected named pipes, found none: Windows")

SAMPLES = (0.2 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)


def encoded(form: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=16_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        pcm = np.clip(SAMPLES * 32_768, -32_768, 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def unknown_length(length: bytes) -> bytes:
    """As a recorder writes a WAV to a pipe."""
    data = wav_bytes(SAMPLES)
    return data[:4] + length + data[8:40] + length + data[44:]


CONTENTS = {
    "wav": lambda: wav_bytes(SAMPLES),
    "wav of ffmpeg": lambda: unknown_length(b"\xff\xff\xff\xff"),
    "wav of sox": lambda: unknown_length(b"\x00\xf0\xff\x7f"),
    "flac": lambda: encoded("flac", "flac"),
    "ogg": lambda: encoded("ogg", "libopus"),
    "webm": lambda: encoded("webm", "libopus"),
    "mp3": lambda: encoded("mp3", "libmp3lame"),
    "mp4, its index at the end": lambda: encoded("mp4", "aac"),
}


@contextmanager
def fifo(folder: Path, data: bytes) -> Iterator[Path]:
    """A named pipe that gets the data in pieces."""
    path = folder / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as out:
            for first in range(0, len(data), 3_000):
                out.write(data[first : first + 3_000])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield path
    finally:
        writer.join()


async def samples_of(source: FileSource) -> int:
    return sum([len(item.block) async for item in source.items() if isinstance(item, Pcm)])


@pytest.mark.parametrize("content", CONTENTS)
async def test_a_pipe_is_read_to_its_end(content: str, tmp_path: Path) -> None:
    with fifo(tmp_path, CONTENTS[content]()) as path:
        (job,), failures = find_jobs([path])
        assert not failures
        source = job.source(None)
        assert isinstance(source, FileSource)
        seconds = await samples_of(source) / source.sample_rate_hz
    assert seconds == pytest.approx(3.0, abs=0.1)


async def test_standard_input_is_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fifo(tmp_path, wav_bytes(SAMPLES)) as path, path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        (job,), _ = find_jobs([STDIN])
        assert job.name == "stdin"
        assert await samples_of(FileSource(job.pipe or STDIN)) == len(SAMPLES)


def test_an_empty_pipe_is_told(tmp_path: Path) -> None:
    with fifo(tmp_path, b"") as path, pytest.raises(SourceError, match="but nothing came"):
        AudioFile(path)


def test_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(SourceError, match="got a terminal; pipe one"):
        AudioFile(STDIN)


async def test_a_source_that_is_stopped_does_not_wait_for_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = wav_bytes(SAMPLES)
    opened = threading.Event()
    done = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as out:
            out.write(data[: -len(data) // 8])
            opened.set()
            done.wait()  # the last part never comes

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source = FileSource(path)
        reading = asyncio.create_task(samples_of(source))
        await asyncio.to_thread(opened.wait)
        source.stop()
        assert await asyncio.wait_for(reading, 60) < len(SAMPLES)
    finally:
        done.set()
        writer.join()
