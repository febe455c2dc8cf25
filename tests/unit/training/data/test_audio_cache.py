"""Audio files to clips: any format and rate, all unusable files reported at once, decoded once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from emostream.models import Samples
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.data import audio_cache as cache_module
from emostream.training.data.audio_cache import AudioCache, cached_audio, read_clip, trim
from emostream.training.data.audio_check import Durations, check_audio, report_cached_audio
from tests.support.tiny_emotion import noise

HERTZ = 440.0


def tone(rate_hz: int, seconds: float = 2.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * HERTZ * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_aac(path: Path, rate_hz: int = 44_100, lead_s: int = 0, **options: str) -> None:
    """Stereo AAC in the container that the suffix names: silence on the left, the tone on the right.

    lead_s: of silence before the tone.
    """
    right = np.concatenate([np.zeros(lead_s * rate_hz, np.float32), tone(rate_hz)])
    frame = av.AudioFrame.from_ndarray(np.stack([0 * right, right]), format="fltp", layout="stereo")
    frame.sample_rate = rate_hz
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream("aac", rate=rate_hz)
        stream.layout = "stereo"
        for piece in (frame, None):
            container.mux(stream.encode(piece))


def examples(*paths: Path, corpus: str = "c") -> list[Example]:
    return [Example(corpus=corpus, key=p.name, emotion="sad", emotion_orig="sad", path=p) for p in paths]


def recordings(folder: Path, count: int = 4) -> list[Example]:
    """Half a second of noise each, a little longer from one to the next, in silence of a second."""
    silence = np.zeros(8_000, np.float32)
    for index in range(count):
        clip = np.concatenate([silence, noise(8_000 + 160 * index, index, level=0.5), silence])
        soundfile.write(folder / f"{index}.wav", clip, 16_000)
    return examples(*(folder / f"{index}.wav" for index in range(count)))


def decoding_forbidden(_: object) -> None:
    raise AssertionError("decoded again")


class TestReading:
    def test_a_16_khz_file_keeps_its_samples(self, tmp_path: Path) -> None:
        pcm = np.random.default_rng(0).integers(-32_768, 32_767, 5_000).astype(np.int16)
        soundfile.write(tmp_path / "a.flac", pcm, 16_000)
        np.testing.assert_array_equal(read_clip(tmp_path / "a.flac"), pcm / np.float32(32_768))

    @pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
    def test_another_rate_is_resampled_and_channels_are_averaged(self, rate_hz: int, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.stack([tone(rate_hz), 0 * tone(rate_hz)], 1), rate_hz, "FLOAT")
        clip, expected = read_clip(tmp_path / "a.wav"), tone(16_000) / 2
        assert abs(len(clip) - len(expected)) <= 1
        np.testing.assert_allclose(clip[800:-800], expected[800 : len(clip) - 800], atol=1e-4)

    @pytest.mark.parametrize("name", ["video.mp4", "phone.m4a", "film.mkv", "stream.aac"])
    def test_formats_that_libsndfile_does_not_know(self, name: str, tmp_path: Path) -> None:
        write_aac(tmp_path / name)
        clip = read_clip(tmp_path / name)
        assert clip.dtype == np.float32
        assert abs(len(clip) - 32_000) < 800
        middle = clip[4_000:20_000]
        assert np.abs(np.fft.rfft(middle)).argmax() == HERTZ  # one second: a bin is one hertz
        assert np.sqrt((middle**2).mean()) == pytest.approx(0.25 / np.sqrt(2), rel=0.02)

    def test_an_estimated_length_is_not_checked(self, tmp_path: Path) -> None:
        """The length of bare AAC is estimated from its first packets, of silence here: 20 times too long."""
        write_aac(tmp_path / "a.aac", lead_s=5)
        assert len(read_clip(tmp_path / "a.aac")) == pytest.approx(7 * 16_000, abs=800)

    def test_a_wav_of_unknown_length(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
        content = bytearray((tmp_path / "a.wav").read_bytes())
        at = content.find(b"data") + 4
        content[at : at + 4] = b"\xff\xff\xff\xff"
        (tmp_path / "a.wav").write_bytes(content)
        assert len(read_clip(tmp_path / "a.wav")) == 32_000


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


def _with(value: float, path: Path) -> None:
    soundfile.write(path, np.append(tone(16_000), np.float32(value)), 16_000, "FLOAT")


def _cut_after_writing(path: Path) -> None:
    soundfile.write(path, noise(32_000), 16_000)
    _cut(path)


def _cut_video(path: Path) -> None:
    write_aac(path)
    _cut(path)


def _cut_streamed_video(path: Path) -> None:
    """Its headers come first, so it opens although most of its audio is missing."""
    write_aac(path, movflags="faststart")
    _cut(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.wav": (lambda path: None, "is missing"),
    "folder.wav": (lambda path: path.mkdir(), "is a folder"),
    "nothing.wav": (lambda path: path.touch(), "is empty"),
    "text.mp4": (lambda path: path.write_text("hello"), "cannot be read"),
    "empty.wav": (lambda path: soundfile.write(path, np.zeros(0), 16_000), "holds no samples"),
    "nan.wav": (lambda path: _with(np.nan, path), "holds NaN"),
    "infinite.wav": (lambda path: _with(np.inf, path), "holds infinite samples"),
    "cut.wav": (_cut_after_writing, "is cut short by 0.8 s"),
    "cut.flac": (_cut_after_writing, "cannot be read"),
    "cut.mp4": (_cut_video, "cannot be read"),
    "cut.mkv": (_cut_video, r"is cut short by \d\.\d s"),
    "streamed.mp4": (_cut_streamed_video, r"is cut short by \d\.\d s|cannot be read"),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_every_damage_has_its_own_message(self, name: str, tmp_path: Path) -> None:
        damage, reason = DAMAGES[name]
        damage(tmp_path / name)
        with pytest.raises(CorpusError, match=f"{name}, but it ({reason})") as caught:
            read_clip(tmp_path / name)
        assert "\n" not in str(caught.value)

    def test_all_are_reported_at_once(self, tmp_path: Path) -> None:
        good = recordings(tmp_path)
        _with(np.nan, tmp_path / "nan.wav")
        soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
        bad = examples(*(tmp_path / name for name in ("nan.wav", "missing.wav", "silent.wav")))
        everything = [bad[0], *good, *bad[1:]]
        message = (
            r"^3 of 7 audio files cannot be used: \S+nan.wav \(holds NaN\), \S+missing.wav \(is missing\), "
            r"\S+silent.wav \(is digitally silent\): fix or leave them out$"
        )
        with pytest.raises(CorpusError, match=message):
            check_audio(everything)
        with pytest.raises(CorpusError, match=message):
            cached_audio(everything, tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_a_long_list_is_cut(self, tmp_path: Path) -> None:
        missing = examples(*(tmp_path / f"{index}.wav" for index in range(14)))
        with pytest.raises(CorpusError, match=r"^14 of 14 .*9\.wav \(is missing\), 4 more: fix"):
            check_audio(missing)

    def test_an_utterance_of_text_only_has_no_audio(self) -> None:
        with pytest.raises(CorpusError, match="expected an utterance with audio"):
            check_audio([Example(corpus="c", key="k", emotion="sad", emotion_orig="sad")])


class TestReport:
    def test_durations_of_each_corpus(self, tmp_path: Path) -> None:
        for name, seconds in (("a", 1.0), ("b", 2.0), ("c", 4.0), ("d", 3.0)):
            soundfile.write(tmp_path / f"{name}.wav", tone(8_000, seconds), 8_000)
        clips = [tmp_path / f"{name}.wav" for name in "abcd"]
        report = check_audio(examples(*clips[:3], corpus="one") + examples(clips[3], corpus="other"))
        assert report.corpora == {
            "one": Durations(3, 7.0, 1.0, 2.0, 4.0),
            "other": Durations(1, 3.0, 3.0, 3.0, 3.0),
        }
        assert report.table().splitlines()[2] == "| one | 3 | 0.00 | 1.00 | 2.00 | 4.00 |"

    def test_the_report_on_cached_audio_is_of_the_trimmed_clips(self, tmp_path: Path) -> None:
        clips = recordings(tmp_path, 1)
        untrimmed, trimmed = (cached_audio(clips, tmp_path, trimmed=flag) for flag in (False, True))
        assert report_cached_audio(clips, untrimmed).corpora == check_audio(clips).corpora
        assert report_cached_audio(clips, trimmed).corpora["c"].total_s == pytest.approx(1.0, abs=0.03)


class TestCache:
    def assert_right(self, cache: AudioCache, clips: list[Example]) -> None:
        for example in clips:
            file = read_clip(example.audio_path)
            np.testing.assert_allclose(cache.clip(example.key), trim(file), atol=1 / 16_384)
            front = cache.trimmed_front[example.key]
            cut = file[front : front + len(trim(file))]
            np.testing.assert_array_equal(cut, trim(file))

    def test_files_are_decoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clips = recordings(tmp_path, 30)
        first = cached_audio(clips, tmp_path / "cache")
        self.assert_right(first, clips)
        monkeypatch.setattr(cache_module, "decode_examples", decoding_forbidden)
        again = cached_audio(clips, tmp_path / "cache")
        assert isinstance(again.samples, np.memmap)
        assert again.samples.dtype == np.int16
        assert (again.spans, again.trimmed_front) == (first.spans, first.trimmed_front)
        np.testing.assert_array_equal(again.samples, first.samples)

    @pytest.mark.parametrize("change", ["content", "time", "list", "order", "trimming"])
    def test_other_inputs_are_not_read_from_the_cache(
        self, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clips = recordings(tmp_path)
        cached_audio(clips, tmp_path / "cache")
        if change == "content":
            soundfile.write(clips[0].audio_path, noise(30_000), 16_000)
        if change == "time":
            os.utime(clips[0].audio_path, ns=(0, 0))
        changed = {"list": clips[:3], "order": clips[::-1]}.get(change, clips)
        monkeypatch.setattr(cache_module, "decode_examples", decoding_forbidden)
        with pytest.raises(AssertionError, match="decoded again"):
            cached_audio(changed, tmp_path / "cache", trimmed=change != "trimming")

    def test_untrimmed_clips_are_complete(self, tmp_path: Path) -> None:
        clips = recordings(tmp_path)
        cache = cached_audio(clips, tmp_path / "cache", trimmed=False)
        assert [len(cache.clip(c.key)) for c in clips] == [len(read_clip(c.audio_path)) for c in clips]
        assert set(cache.trimmed_front.values()) == {0}

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
    def test_a_kill_in_the_middle_leaves_no_partial_cache(self, tmp_path: Path) -> None:
        clips = recordings(tmp_path)
        killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        remaining = [path.suffix for path in (tmp_path / "cache").iterdir()]
        assert remaining == [".tmp"]
        self.assert_right(cached_audio(clips, tmp_path / "cache"), clips)

    def test_a_failure_before_the_index_leaves_no_cache(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clips, replace = recordings(tmp_path), Path.replace

        def full_disk(path: Path, target: Path) -> Path:
            if ".json" in path.name:
                raise OSError("no space left on device")
            return replace(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", full_disk)
            with pytest.raises(OSError, match="no space"):
                cached_audio(clips, tmp_path / "cache")
        self.assert_right(cached_audio(clips, tmp_path / "cache"), clips)

    def test_no_examples_give_an_empty_cache(self, tmp_path: Path) -> None:
        assert cached_audio([], tmp_path / "cache").spans == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from emostream.training.corpora.example import Example
from emostream.training.data import audio_cache

def killed_at_the_third(examples):
    for count, found in enumerate(decode_examples(examples)):
        if count == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield found

decode_examples, audio_cache.decode_examples = audio_cache.decode_examples, killed_at_the_third
folder = Path(sys.argv[1])
clips = [
    Example(corpus="c", key=path.name, emotion="sad", emotion_orig="sad", path=path)
    for path in sorted(folder.glob("*.wav"))
]
audio_cache.cached_audio(clips, folder / "cache")
"""
