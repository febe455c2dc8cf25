"""Recordings in memory: decoded as the same bytes in a file are, and nothing beyond them is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emostream.streamer.audio.decode import AudioFile, FileNote, Gap
from emostream.streamer.audio.memory_file import MemoryFile, Recording
from emostream.streamer.errors import SourceError
from tests.support.fakes import voice
from tests.support.media_files import write_media
from tests.support.wav_file import wav_bytes

SOUND = voice(700)[:, None]


def wav(folder: Path) -> bytes:
    return wav_bytes(SOUND[:, 0])


def two_wavs(folder: Path) -> bytes:
    return 2 * wav(folder)


def wav_with_more_than_its_header_says(folder: Path) -> bytes:
    return wav(folder) + wav(folder)[44:]


def media(suffix: str, codec: str) -> Callable[[Path], bytes]:
    def written(folder: Path) -> bytes:
        return write_media(folder / f"a.{suffix}", [SOUND], 16_000, codec).read_bytes()

    written.__name__ = suffix
    return written


def two_oggs(folder: Path) -> bytes:
    return 2 * media("ogg", "libopus")(folder)


def decoded(file: Recording) -> tuple[list[np.ndarray | int], list[FileNote], str | None]:
    blocks: list[np.ndarray | int] = []
    failure = None
    try:
        opened = AudioFile(file)
    except SourceError as error:
        return [], [], str(error)
    try:
        for block in opened.blocks():
            blocks.append(block.samples if isinstance(block, Gap) else block)
    except SourceError as error:
        failure = str(error)
    finally:
        opened.close()
    return blocks, opened.take_notes(), failure


@pytest.mark.parametrize(
    "make",
    [
        wav,
        two_wavs,
        wav_with_more_than_its_header_says,
        media("flac", "flac"),
        media("mp3", "libmp3lame"),
        media("m4a", "aac"),
        media("webm", "libopus"),
        two_oggs,
    ],
)
@pytest.mark.parametrize("cut", [1.0, 0.6])
def test_it_is_decoded_as_a_file_is(make: Callable[[Path], bytes], cut: float, tmp_path: Path) -> None:
    """Whole and cut short: the same samples, gaps and complaints."""
    data = make(tmp_path)
    data = data[: round(cut * len(data))]
    path = tmp_path / "recording"
    path.write_bytes(data)
    wanted, *notes_and_failure = decoded(path)
    got, *others = decoded(MemoryFile(str(path), data))
    assert others == notes_and_failure
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
    ],
)
def test_a_playlist_opens_no_file(playlist: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav_bytes(SOUND[:, 0]))
    blocks, _, failure = decoded(MemoryFile("list.wav", playlist.format(path=secret).encode()))
    assert blocks == []
    assert failure is not None
