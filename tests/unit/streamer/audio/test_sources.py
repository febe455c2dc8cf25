"""File formats, real time, the microphone."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from emostream.streamer.audio.decode import AudioFile, Gap
from emostream.streamer.audio.microphone import MicrophoneSource, find_device, input_devices
from emostream.streamer.audio.sources import AudioGap, FileSource, Item, Pcm, Source
from emostream.streamer.errors import DeviceError, SourceError
from tests.support.fake_portaudio import FakePortAudio, card
from tests.support.fakes import ManualClock

__all__ = ["card"]  # a fixture

SECONDS = 2.0


def tone(rate_hz: int, channels: int = 1, seconds: float = SECONDS) -> np.ndarray:
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    wave = 0.3 * np.sin(2 * np.pi * 300 * time)
    return np.stack([wave * (1 - 0.2 * c) for c in range(channels)], axis=1).astype(np.float32)


def encode(path: Path, codec: str, rate_hz: int, channels: int, *, picture: bool = False) -> Path:
    samples = tone(rate_hz, channels)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate_hz)
        stream.layout = "mono" if channels == 1 else "stereo"
        video: Any = container.add_stream("mpeg4", rate=10) if picture else None
        if video is not None:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            for _ in range(20):
                container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout=stream.layout.name
        )
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.format.name, layout=stream.layout.name, rate=rate_hz)
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            part.pts = None
            fifo.write(part)
        size = stream.codec_context.frame_size or 1_024
        while (chunk := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> np.ndarray:
    file = AudioFile(path)
    try:
        return np.concatenate(list(sound_of(file)))
    finally:
        file.close()


def sound_of(file: AudioFile) -> Iterator[np.ndarray]:
    for block in file.blocks():
        assert not isinstance(block, Gap)
        yield block


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "channels"),
    [
        ("a.wav", "pcm_s16le", 8_000, 1),
        ("b.wav", "pcm_f32le", 44_100, 2),
        ("c.flac", "flac", 96_000, 2),
        ("d.mp3", "libmp3lame", 44_100, 1),
        ("e.m4a", "aac", 48_000, 2),
        ("f.ogg", "libopus", 48_000, 1),
        ("g.webm", "libopus", 48_000, 2),
    ],
)
def test_formats(tmp_path: Path, name: str, codec: str, rate_hz: int, channels: int) -> None:
    path = encode(tmp_path / name, codec, rate_hz, channels)
    file = AudioFile(path)
    assert (file.sample_rate_hz, file.channels) == (rate_hz, channels)
    file.close()
    samples = read(path)
    assert samples.dtype == np.float32
    assert len(samples) / rate_hz == pytest.approx(SECONDS, abs=0.1)
    # The tone of 300 Hz is still there, whatever the codec did to the waveform.
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    assert np.argmax(spectrum) * rate_hz / len(samples) == pytest.approx(300, abs=2)


def test_the_audio_track_of_a_video(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", "aac", 44_100, 1, picture=True)
    assert len(read(path)) / 44_100 == pytest.approx(SECONDS, abs=0.1)


def test_compressed_sound_in_a_wav_is_decoded(tmp_path: Path) -> None:
    """As recorders of a digital output write it: the header says PCM, the bytes are AC-3."""
    encoded = encode(tmp_path / "a.spdif", "ac3", 48_000, 2)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(encoded.read_bytes())
    samples = read(tmp_path / "a.wav")
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    assert np.argmax(spectrum) * 48_000 / len(samples) == pytest.approx(300, abs=2)
    assert np.abs(samples).max() < 0.5  # noise at full scale otherwise


def test_a_wav_is_read_in_few_packets(tmp_path: Path) -> None:
    """Each passes through Python, which takes longer than its sound."""
    path = encode(tmp_path / "a.wav", "pcm_s16le", 16_000, 1)
    assert len(list(sound_of(AudioFile(path)))) <= 3


def test_decoding_agrees_with_libsndfile(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, tone(22_050, 2), 22_050)
    reference, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(read(path), reference)


def truncated_mp3(folder: Path) -> Path:
    data = encode(folder / "whole.mp3", "libmp3lame", 44_100, 1).read_bytes()
    path = folder / "cut.mp3"
    path.write_bytes(data[: len(data) // 2])
    return path


def silent_video(folder: Path) -> Path:
    path = folder / "picture.mp4"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(video.encode(None))
    return path


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def too_many_channels(folder: Path) -> Path:
    path = folder / "many.wav"
    soundfile.write(path, np.zeros((16_000, 65), np.float32), 16_000)
    return path


def without_decoder(folder: Path) -> Path:
    """With a format number that no format has."""
    path = folder / "unknown.wav"
    soundfile.write(path, np.zeros(16_000, np.float32), 16_000)
    data = bytearray(path.read_bytes())
    at = data.index(b"fmt ") + 8
    data[at : at + 2] = b"\x34\x12"
    path.write_bytes(data)
    return path


BAD_FILES = [
    pytest.param(too_many_channels, "got 65 channels", id="65 channels"),
    pytest.param(without_decoder, "that FFmpeg has a decoder for", id="no decoder"),
    pytest.param(lambda folder: folder / "none.wav", "there is no such file", id="missing"),
    pytest.param(lambda folder: folder, "it is a folder", id="folder"),
    pytest.param(written("empty.wav", b""), "the file is empty", id="empty"),
    pytest.param(written("text.wav", b"no sound in here\n" * 100), "no sound file", id="text"),
    pytest.param(silent_video, "no sound track", id="silent video"),
    pytest.param(truncated_mp3, r"expected 2\.0 s .* got 1\.\d s: the file is cut short", id="cut mp3"),
]


@pytest.mark.parametrize(("make", "message"), BAD_FILES)
def test_bad_files_are_reported_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_title_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "latin1.wav"
    soundfile.write(path, np.zeros(16_000, np.float32), 16_000)
    title = b"INFOINAM\x06\x00\x00\x00caf\xe9 \x00"
    data, at = path.read_bytes(), 12
    path.write_bytes(data[:at] + b"LIST" + len(title).to_bytes(4, "little") + title + data[at:])
    assert len(read(path)) == 16_000


def test_a_truncated_file_yields_its_blocks_before_the_error(tmp_path: Path) -> None:
    file = AudioFile(truncated_mp3(tmp_path))
    samples = 0
    with pytest.raises(SourceError):  # the blocks before the error are the point
        for block in sound_of(file):
            samples += len(block)
    file.close()
    assert samples / 44_100 == pytest.approx(SECONDS / 2, abs=0.2)


async def collect(source: Source) -> list[Item]:
    return [item async for item in source.items()]


async def test_a_file_in_real_time_yields_each_block_at_the_time_of_its_last_sample(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(16_000), 16_000)
    clock = ManualClock()
    items = FileSource(path, pace=clock).items()
    samples = 0
    for tick in range(1, 21):
        waiting = asyncio.ensure_future(anext(items))
        await clock.wait_for_sleeper()
        assert not waiting.done()
        clock.advance_to(tick * 0.1)
        item = await waiting
        assert isinstance(item, Pcm)
        samples += len(item.block)
        assert samples <= tick * 1_600
        if samples < tick * 1_600:  # the file's own blocks are not cut at 100 ms
            break
    await items.aclose()  # type: ignore[attr-defined]


async def test_a_file_source_stops(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(16_000), 16_000)
    source = FileSource(path)
    source.stop()
    assert await collect(source) == []


def test_inputs_are_listed_with_the_default(card: FakePortAudio) -> None:
    assert [(device.index, device.is_default) for device in input_devices()] == [(1, True), (2, False)]


@pytest.mark.parametrize(("name", "index"), [(None, 1), ("2", 2), ("usb", 2), ("Built-in Microphone", 1)])
def test_a_microphone_is_found(card: FakePortAudio, name: str | None, index: int) -> None:
    assert find_device(name).index == index


@pytest.mark.parametrize(("name", "message"), [("phone", "found 2: Built-in"), ("radio", "found none")])
def test_an_unknown_microphone_is_reported_in_one_line(card: FakePortAudio, name: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        find_device(name)


def first_sample(item: Item) -> float:
    assert isinstance(item, Pcm)
    return round(float(item.block[0, 0]), 1)


async def test_the_microphone_copies_blocks_and_puts_a_gap_where_it_dropped_some(
    card: FakePortAudio,
) -> None:
    source = MicrophoneSource(find_device("usb"), buffer_s=0.3)
    items = source.items()
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):  # three fit
        card.record(value)
    received: list[Item] = [await waiting]
    await asyncio.sleep(0)
    card.record(0.6)  # there is space again
    card.record(0.7, overflow=True)
    await asyncio.sleep(0)
    source.stop()
    received += [item async for item in items]
    blocks = [item if isinstance(item, AudioGap) else first_sample(item) for item in received]
    assert blocks == [
        0.1,
        0.2,
        0.3,
        AudioGap(200, "the models were too slow"),
        0.6,
        AudioGap(100, "the sound card overflowed"),
        AudioGap(100, "the models were too slow"),
    ]
    assert card.opened[-1]["started"]
    assert card.opened[-1]["closed"]


async def test_a_microphone_that_delivers_nothing_is_an_error(card: FakePortAudio) -> None:
    source = MicrophoneSource(find_device("usb"), timeout_s=0.01)
    with pytest.raises(DeviceError, match=r"got none for 0\.01 s; is it still plugged in"):
        await collect(source)
    assert card.opened[-1]["closed"]


async def test_a_busy_microphone_is_reported_in_one_line(card: FakePortAudio) -> None:
    def refuse() -> None:
        raise card.PortAudioError("Device unavailable")

    card.start = refuse  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="Device unavailable; close other programs"):
        await collect(MicrophoneSource(find_device("usb")))


def test_a_file_whose_channels_change_is_read_to_its_end(tmp_path: Path) -> None:
    """Two MP3s joined end to end, the second one stereo."""
    first = encode(tmp_path / "one.mp3", "libmp3lame", 44_100, 1).read_bytes()
    second = encode(tmp_path / "two.mp3", "libmp3lame", 44_100, 2).read_bytes()
    path = tmp_path / "both.mp3"
    path.write_bytes(first + second)
    samples = read(path)
    assert samples.shape[1] == 1
    assert len(samples) / 44_100 == pytest.approx(2 * SECONDS, abs=0.3)
