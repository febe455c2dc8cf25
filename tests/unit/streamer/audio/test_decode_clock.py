"""Recordings on their own clock: pauses, silence that was left out, late tracks, joined and damaged files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.streamer.audio.decode import AudioFile, FileNote, Gap, decode_file
from emostream.streamer.audio.sources import AudioGap, FileSource, Item, Pcm
from emostream.streamer.errors import SourceError
from tests.support.fakes import ManualClock
from tests.support.media_files import write_media
from tests.support.wav_file import wav_bytes


def tone(seconds: float, rate_hz: int = 48_000, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = 0.3 * np.sin(2 * np.pi * 300 * time)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


class Decoded:
    """What a file holds: lengths of sound and of gaps in order, in seconds; its notes; how it failed."""

    def __init__(self, path: Path, track: int = 1) -> None:
        file = AudioFile(path, track=track)
        self.rate_hz = file.sample_rate_hz
        self.sound: list[np.ndarray] = []
        spans: list[tuple[str, int]] = []
        self.failure: str | None = None
        try:
            for block in file.blocks():
                if isinstance(block, Gap):
                    spans.append(("gap", block.samples))
                else:
                    self.sound.append(block)
                    spans.append(("sound", len(block)))
        except SourceError as error:
            self.failure = str(error)
        self.notes: list[FileNote] = file.take_notes()
        file.close()
        self.spans = [
            (kind, sum(length for _, length in group) / self.rate_hz)
            for kind, group in itertools.groupby(spans, key=lambda span: span[0])
        ]

    @property
    def seconds(self) -> float:
        return sum(length for _, length in self.spans)

    def expect(self, *spans: tuple[str, float]) -> None:
        assert self.failure is None
        assert [kind for kind, _ in self.spans] == [kind for kind, _ in spans]
        assert [length for _, length in self.spans] == pytest.approx([length for _, length in spans], abs=0.1)


def pause(after: float, length: float) -> Callable[[float], float | None]:
    return lambda at: at if at < after else at + length


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "aac"),
        ("b.mka", "flac"),
        ("c.m4a", "aac"),
        ("d.ts", "aac"),
        ("e.flv", "aac"),
        ("f.nut", "flac"),
    ],
)
def test_a_pause_is_a_gap(tmp_path: Path, name: str, codec: str) -> None:
    path = write_media(tmp_path / name, [tone(4, 44_100)], 44_100, codec, place=pause(2, 10))
    Decoded(path).expect(("sound", 2), ("gap", 10), ("sound", 2))


def test_silence_that_was_left_out_keeps_its_time(tmp_path: Path) -> None:
    """Opus with DTX: a packet every 400 ms."""

    def place(at: float) -> float | None:
        return None if 1 < at < 3 and round(at * 50) % 20 else at

    decoded = Decoded(write_media(tmp_path / "dtx.webm", [tone(4)], 48_000, "libopus", place=place))
    assert decoded.failure is None
    assert decoded.seconds == pytest.approx(4, abs=0.01)
    assert sum(length for kind, length in decoded.spans if kind == "gap") == pytest.approx(1.9, abs=0.01)


@pytest.mark.parametrize(
    ("name", "begin_s", "picture_s", "gap_s"),
    [
        ("late.mp4", 9.98, 20, 9.98),
        ("late.mkv", 9.98, 20, 9.98),
        ("late.m4a", 9.98, 0, 9.98),
        ("hour.mkv", 3_600, 0, 3_600),
        ("hour.mp4", 3_600, 1, 3_600),
        ("broadcast.ts", 3_600, 0, 0),  # its clock began some time before it
    ],
)
def test_a_track_that_begins_late(
    tmp_path: Path, name: str, begin_s: float, picture_s: float, gap_s: float
) -> None:
    path = tmp_path / name
    write_media(path, [tone(2)], 48_000, "aac", place=lambda at: at + begin_s, picture_s=picture_s)
    expected = [("gap", gap_s), ("sound", 2.0)] if gap_s else [("sound", 2.0)]
    Decoded(path).expect(*expected)


def test_priming_before_zero_is_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_media(path, [tone(2)], 48_000, "aac", options={"avoid_negative_ts": "disabled"})
    Decoded(path).expect(("sound", 2))


def test_time_stamps_that_jump_by_days_are_no_gap_and_nothing_is_missing(tmp_path: Path) -> None:
    """The duration in the file's header has the jump in it."""
    path = write_media(tmp_path / "a.mka", [tone(4)], 48_000, "flac", place=pause(2, 3 * 86_400))
    decoded = Decoded(path)
    decoded.expect(("sound", 4))
    (note,) = decoded.notes
    assert "jump by more than a day" in note.message


def written(path: Path, rate_hz: int, channels: int, codec: str) -> bytes:
    samples = tone(2, rate_hz, channels)
    if codec == "vorbis":
        soundfile.write(path, samples, rate_hz, format="OGG", subtype="VORBIS")
    else:
        write_media(path, [samples], rate_hz, codec)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("suffix", "first", "second"),
    [
        ("mp3", (44_100, 1, "libmp3lame"), (44_100, 1, "libmp3lame")),
        ("mp3", (44_100, 1, "libmp3lame"), (48_000, 2, "libmp3lame")),
        ("aac", (44_100, 1, "aac"), (48_000, 2, "aac")),
        ("ogg", (48_000, 1, "libopus"), (48_000, 1, "libopus")),
        ("ogg", (48_000, 1, "libopus"), (48_000, 2, "libopus")),
        ("ogg", (44_100, 1, "vorbis"), (44_100, 1, "vorbis")),
        ("ogg", (44_100, 1, "vorbis"), (48_000, 2, "vorbis")),
        ("ogg", (48_000, 2, "libopus"), (44_100, 1, "vorbis")),
        ("ogg", (44_100, 1, "flac"), (16_000, 2, "flac")),
        ("flac", (44_100, 1, "flac"), (44_100, 1, "flac")),
        ("flac", (44_100, 1, "flac"), (16_000, 2, "flac")),
        ("m4a", (44_100, 1, "aac"), (48_000, 2, "aac")),
        ("mp4", (48_000, 1, "libopus"), (48_000, 1, "libopus")),
        ("webm", (48_000, 1, "libopus"), (48_000, 1, "libopus")),
        ("wav", (44_100, 1, "pcm_s16le"), (8_000, 2, "pcm_f32le")),
    ],
)
def test_joined_files_are_heard_to_their_end(
    tmp_path: Path, suffix: str, first: tuple[int, int, str], second: tuple[int, int, str]
) -> None:
    one = written(tmp_path / f"1.{suffix}", *first)
    two = written(tmp_path / f"2.{suffix}", *second)
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(one + two + one)
    decoded = Decoded(path)
    assert decoded.failure is None
    ((kind, length),) = decoded.spans
    assert kind == "sound"
    assert abs(length - 6) < 0.2  # an encoder's padding stays at each joint
    sound = np.concatenate(decoded.sound)[:, 0]
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * decoded.rate_hz / len(sound) == pytest.approx(300, abs=2)
    # As loud in each third as in the first: what another rate or layout holds was converted.
    thirds = [float(np.sqrt(np.mean(third**2))) for third in np.array_split(sound, 3)]
    assert thirds == pytest.approx([thirds[0]] * 3, rel=0.1)


def test_a_tag_between_joined_mp3s_is_no_damage(tmp_path: Path) -> None:
    """The picture of an album, larger than any packet."""
    one = written(tmp_path / "1.mp3", 44_100, 1, "libmp3lame")
    picture = np.random.default_rng(0).integers(0, 255, 40_000, np.uint8).tobytes()
    size = bytes(len(picture) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "joined.mp3"
    path.write_bytes(one + b"TAG".ljust(128, b" ") + b"ID3\x04\x00\x00" + size + picture + one)
    decoded = Decoded(path)
    assert decoded.failure is None
    assert decoded.seconds == pytest.approx(4, abs=0.2)


def test_damage_in_an_mp3_keeps_the_time_of_what_is_lost(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "whole.mp3", 44_100, 1, "libmp3lame"))
    data[4_000:8_000] = np.random.default_rng(0).bytes(4_000)
    path = tmp_path / "damaged.mp3"
    path.write_bytes(data)
    decoded = Decoded(path)
    assert decoded.failure is not None
    assert "damaged packets" in decoded.failure
    assert decoded.seconds == pytest.approx(2, abs=0.15)


def wav(seconds: float) -> bytearray:
    return bytearray(wav_bytes(tone(seconds, 16_000)[:, 0]))


def with_size(data: bytearray, size: int) -> bytes:
    data[40:44] = size.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("what", "content", "seconds", "noted"),
    [
        ("three of them", bytes(wav(1) + wav(2) + wav(1.5)), 4.5, False),
        ("written into a pipe", with_size(wav(2), 0xFFFF_FFFF), 2, False),
        ("two from pipes", with_size(wav(2), 0xFFFF_FFFF) + with_size(wav(1), 0x7FFF_FFFF), 3, False),
        ("the header of its beginning", with_size(wav(2), 16_000), 2, True),
        ("two with such headers", with_size(wav(2), 16_000) + bytes(wav(1)), 3, True),
        ("no length yet", with_size(wav(2), 0), 2, False),
        ("a list of titles behind", bytes(wav(2)) + b"LIST\x04\x00\x00\x00INFO", 2, False),
        ("zeros behind", bytes(wav(2)) + bytes(5_000), 2, False),
    ],
)
def test_wav_files_that_are_longer_than_their_header_says(
    tmp_path: Path, what: str, content: bytes, seconds: float, noted: bool
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    decoded = Decoded(path)
    decoded.expect(("sound", seconds))
    assert bool(decoded.notes) == noted, what


def test_a_wav_that_is_cut_short_is_heard_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(wav(2))[:33_001])
    decoded = Decoded(path)
    assert decoded.seconds == pytest.approx(1.03, abs=0.01)
    assert decoded.failure is not None
    assert "expected 2.0 s of sound" in decoded.failure
    path.write_bytes(bytes(wav(1)) + bytes(wav(2))[:33_001])
    decoded = Decoded(path)
    assert decoded.seconds == pytest.approx(2.03, abs=0.01)
    assert decoded.failure is not None
    path.write_bytes(bytes(wav(2))[:33_000] + bytes(wav(1)))
    decoded = Decoded(path)
    assert decoded.seconds == pytest.approx(2.03, abs=0.01)
    assert decoded.failure is not None


def test_the_second_track(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", [np.zeros((96_000, 1), np.float32), tone(2)], 48_000, "libopus")
    silent, loud = Decoded(path), Decoded(path, track=2)
    assert [note.code for note in silent.notes] == ["silent_track"]
    assert "--track 2" in silent.notes[0].message
    assert loud.notes == []
    assert np.abs(np.concatenate(loud.sound)).max() > 0.2
    with pytest.raises(SourceError, match=r"expected --track of 1 to 2 .* got 3"):
        AudioFile(path, track=3)
    both = write_media(tmp_path / "b.mkv", [np.zeros((96_000, 1), np.float32)] * 2, 48_000, "libopus")
    assert Decoded(both).notes == []


async def items_of(source: FileSource) -> list[Item]:
    return [item async for item in source.items()]


async def test_gaps_in_whole_milliseconds_do_not_add_up(tmp_path: Path) -> None:
    """At 11,025 Hz no gap of samples is a whole number of milliseconds."""

    def place(at: float) -> float | None:
        return at + 0.1004 * (at // 0.2)

    path = write_media(tmp_path / "a.mka", [tone(10, 11_025)], 11_025, "pcm_s16le", place=place)
    items = await items_of(FileSource(path))
    gaps = [item for item in items if isinstance(item, AudioGap)]
    sound = sum(len(item.block) for item in items if isinstance(item, Pcm))
    decoded = Decoded(path)
    exact = sum(length for kind, length in decoded.spans if kind == "gap")
    assert len(gaps) > 20
    assert sum(gap.ms for gap in gaps) == pytest.approx(exact * 1_000, abs=0.51)
    assert sound == 110_250


class InstantClock(ManualClock):
    """What sleeps wakes at once, at that time."""

    async def sleep_until(self, moment: float) -> None:
        self.time = max(self.time, moment)


async def test_in_real_time_a_gap_takes_its_time_up_to_five_seconds(tmp_path: Path) -> None:
    for length, waited in ((2.0, 2.0), (3_600.0, 5.0)):
        path = write_media(tmp_path / "a.mka", [tone(2)], 48_000, "flac", place=pause(1, length))
        clock = InstantClock()
        source = FileSource(path, pace=clock)
        seen = await items_of(source)
        assert clock.now() == pytest.approx(2 + waited, abs=0.05)
        assert [item.ms for item in seen if isinstance(item, AudioGap)] == [
            pytest.approx(length * 1_000, abs=100)
        ]


def test_a_short_recording_in_memory_has_silence_in_its_gaps(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mka", [tone(4)], 48_000, "flac", place=pause(2, 10))
    samples = decode_file(path)
    assert len(samples) / 16_000 == pytest.approx(14, abs=0.01)
    assert not samples[16_000 * 3 : 16_000 * 11].any()
    hours = write_media(tmp_path / "b.mka", [tone(1)], 48_000, "flac", place=lambda at: at + 36_000)
    with pytest.raises(SourceError, match="36000 s without sound"):
        decode_file(hours)
