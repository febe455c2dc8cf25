"""Files told from samples by their first bytes: real files by FFmpeg, and samples of every kind."""

from __future__ import annotations

import base64
import io
from typing import Final

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emostream.streamer.audio.file_signatures import HEAD_BYTES, file_kind

# FFmpeg's format and codec, what it is called here.
FILES: Final = [
    ("webm", "libopus", "WebM or Matroska"),
    ("matroska", "pcm_s16le", "WebM or Matroska"),
    ("flac", "flac", "FLAC"),
    ("ogg", "libopus", "Ogg"),
    ("mp3", "libmp3lame", "MP3"),
    ("wav", "pcm_s16le", "WAV"),
    ("mp4", "aac", "MP4"),
    ("aiff", "pcm_s16be", "AIFF"),
    ("caf", "pcm_s16le", "CAF"),
    ("adts", "aac", "AAC"),
    ("au", "pcm_s16be", "AU"),
    ("asf", "wmav2", "WMA"),
    ("mpegts", "aac", "MPEG transport stream"),
]


def encoded(form: str, codec: str, options: dict[str, str] | None = None) -> bytes:
    """Two seconds of noise in a file of FFmpeg's."""
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 64_000
        noise = np.random.default_rng(0).integers(-3_000, 3_000, (1, 96_000), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(("form", "codec", "name"), FILES)
def test_a_file_is_named(form: str, codec: str, name: str) -> None:
    assert file_kind(encoded(form, codec)[:HEAD_BYTES]) == name


@pytest.mark.parametrize("options", [{"id3v2_version": "0"}, {"id3v2_version": "0", "write_xing": "0"}])
def test_an_mp3_without_a_tag_is_told_by_its_frames(options: dict[str, str]) -> None:
    data = encoded("mp3", "libmp3lame", options)
    assert not data.startswith(b"ID3")
    assert file_kind(data[:HEAD_BYTES]) == "MP3"


def test_one_header_of_an_mp3_is_no_mp3() -> None:
    """0xFFFB is -1025 as a sample."""
    assert file_kind(b"\xff\xfb\x90\x00" + bytes(HEAD_BYTES - 4)) is None


@pytest.mark.parametrize("data", [b'{"audio": "', b"data:audio/webm;base64,", b""])
def test_text_is_told(data: bytes) -> None:
    assert file_kind(data + base64.b64encode(bytes(range(256)))) == "text"


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
@pytest.mark.parametrize("level", [0.0, 0.001, 0.1, 1.0])
def test_samples_are_no_file(dtype: str, level: float) -> None:
    rng = np.random.default_rng(0)
    for hz in (50, 440, 3_000):
        wave = np.sin(2 * np.pi * hz * np.arange(4_000) / 16_000) + 0.01 * rng.standard_normal(4_000)
        scaled = np.clip(level * wave, -1, 1) * (32_767 if dtype == "<i2" else 1)
        assert file_kind(scaled.astype(dtype).tobytes()[:HEAD_BYTES]) is None


@given(st.binary(max_size=600))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert file_kind(data) is None or len(data) >= 4
