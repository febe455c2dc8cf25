"""The Whisper adapter on a real, random model: shapes, order, independence, odd input, damaged folders."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emostream.models.errors import DeviceError, TranscriberError
from emostream.models.transcription.whisper import WhisperTranscriber
from emostream.models.transcription.whisper_model import (
    IndependentClips,
    default_threads,
    open_model,
    precise_type,
    present_device,
)
from emostream.models.types import SAMPLE_RATE_HZ, Clip, Samples, Transcript

from .tiny_whisper import BELIEVE_ALL, LANGUAGES, make_tiny_whisper


def sound(seconds: float, seed: int) -> Samples:
    """Noise whose loudness beats: (N,) float32, as unlike other seeds as the model can tell."""
    n = int(seconds * SAMPLE_RATE_HZ)
    noise = np.random.default_rng(seed).normal(0.0, 0.2, n)
    return (noise * np.sin(np.arange(n) / (300.0 + 400.0 * seed))).astype(np.float32)


def believing(folder: Path) -> WhisperTranscriber:
    model = open_model(folder, device="cpu", compute_type="int8", cpu_threads=2)
    return WhisperTranscriber(model, "whisper tiny (int8, cpu)", BELIEVE_ALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_whisper(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def english(folder: Path) -> WhisperTranscriber:
    return believing(folder)


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> WhisperTranscriber:
    return believing(make_tiny_whisper(tmp_path_factory.mktemp("multilingual"), multilingual=True))


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "broken"))


def same(a: Transcript, b: Transcript) -> bool:
    """Equal but for the last digits of the probabilities, which follow the batch's matrix shapes."""
    spans = [(w.text, w.start, w.end) for w in a.words] == [(w.text, w.start, w.end) for w in b.words]
    close = np.allclose([w.p or 0.0 for w in a.words], [w.p or 0.0 for w in b.words], atol=1e-3)
    return spans and close and (a.text, a.language, a.rejected) == (b.text, b.language, b.rejected)


def unspaced(text: str) -> str:
    return "".join(text.split())


def test_a_clip_says_the_same_alone_and_in_any_company(english: WhisperTranscriber) -> None:
    lengths_s = (0.7, 3.0, 1.2345, 28.0, 0.05)
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate(lengths_s)]
    alone = [english.transcribe([clip])[0] for clip in clips]
    together = english.transcribe(clips)
    reversed_ = english.transcribe(clips[::-1])[::-1]
    assert len({t.text for t in alone}) > 2, "the sounds must not all say the same for this to mean anything"
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert all(same(a, b) for a, b in zip(alone, reversed_, strict=True))


def test_more_clips_than_one_forward_takes_keep_their_order(
    english: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [Clip(sound(0.3, seed)) for seed in range(3)]
    at_once = english.transcribe(clips)
    monkeypatch.setattr("emostream.models.transcription.whisper._MOST_CLIPS", 2)
    in_parts = english.transcribe(clips)
    assert all(same(a, b) for a, b in zip(at_once, in_parts, strict=True))


def test_words_lie_in_order_inside_their_clip(english: WhisperTranscriber) -> None:
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate((0.5, 2.0, 7.0))]
    for clip, transcript in zip(clips, english.transcribe(clips), strict=True):
        assert transcript.words
        assert transcript.language == "en"
        edges = [edge for word in transcript.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert edges[0] >= 0
        assert edges[-1] <= len(clip.samples)
        assert all(word.p is not None and 0.0 <= word.p <= 1.0 for word in transcript.words)
        # A prefix, because faster-whisper gives no word to a tail that is no valid UTF-8.
        joined = "".join(word.text for word in transcript.words)
        assert unspaced(transcript.text).startswith(unspaced(joined))


def test_a_model_that_writes_time_stamps_is_read_as_one_transcript(tmp_path: Path) -> None:
    stamping = believing(make_tiny_whisper(tmp_path, time_stamps=True))
    clip = Clip(sound(3.0, 1))
    alone, first = stamping.transcribe([clip])[0], stamping.transcribe([clip, Clip(sound(1.0, 2))])[0]
    assert same(alone, first)
    assert "<|" not in alone.text


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(160, np.float32),
        np.ones(160, np.float32),
        np.zeros(16_000, np.float32),
        np.full(16_000, np.nan, np.float32),
    ],
    ids=["empty", "10 ms of silence", "10 ms", "silence", "nothing but NaN"],
)
def test_a_clip_with_nothing_to_hear_has_no_text(english: WhisperTranscriber, samples: Samples) -> None:
    assert english.transcribe([Clip(samples)]) == [Transcript("")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_sound_do_no_harm(english: WhisperTranscriber, value: float) -> None:
    harmed = sound(1.0, 0)
    harmed[::100] = value
    healthy = Clip(sound(1.0, 1))
    _, neighbour = english.transcribe([Clip(harmed), healthy])
    assert same(neighbour, english.transcribe([healthy])[0])


def test_no_clips_no_transcripts(english: WhisperTranscriber) -> None:
    assert english.transcribe([]) == []


def test_a_clip_longer_than_whisper_hears_is_refused(english: WhisperTranscriber) -> None:
    with pytest.raises(TranscriberError, match=r"at most 30 s, got one of 30\.5 s"):
        english.transcribe([Clip(sound(30.5, 0))])


def test_an_english_model_ignores_another_hint_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    english, clip = believing(folder), sound(0.5, 0)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        hinted = english.transcribe([Clip(clip, "pl-PL"), Clip(clip, "pl"), Clip(clip, "en-GB"), Clip(clip)])
        english.transcribe([Clip(clip, "de")])
    assert [t.language for t in hinted] == ["en"] * 4
    assert len(caplog.records) == 1
    assert "pl-PL" in caplog.records[0].message


def test_a_multilingual_model_follows_each_clips_hint(multilingual: WhisperTranscriber) -> None:
    clips = [Clip(sound(0.5, 0), hint) for hint in ("pl", "de-AT", "en", "PL")]
    together = multilingual.transcribe(clips)
    assert [t.language for t in together] == ["pl", "de", "en", "pl"]
    assert same(together[1], multilingual.transcribe([clips[1]])[0])


def test_without_a_hint_the_language_is_found_for_each_clip_alone(multilingual: WhisperTranscriber) -> None:
    clips = [Clip(sound(0.5, 0)), Clip(sound(2.0, 1), "de"), Clip(sound(1.0, 2), "tlh")]
    together = multilingual.transcribe(clips)
    assert {t.language for t in together} <= set(LANGUAGES)
    assert all(same(t, multilingual.transcribe([c])[0]) for t, c in zip(together, clips, strict=True))


def test_the_guards_stand_behind_the_model(folder: Path) -> None:
    transcriber = WhisperTranscriber.load(folder, label="tiny", device="cpu", cpu_threads=2)
    clips = [Clip(sound(seconds, seed)) for seed, seconds in enumerate((0.5, 2.0, 7.0))]
    for transcript in transcriber.transcribe(clips):
        assert transcript.rejected
        assert (transcript.text, transcript.words) == ("", ())


def test_the_name_says_model_precision_and_device(folder: Path) -> None:
    assert WhisperTranscriber.load(folder, label="tiny", device="cpu").name == "whisper tiny (int8, cpu)"
    exact = WhisperTranscriber.load(folder, label="tiny", device="cpu", compute_type="float32")
    assert exact.name == "whisper tiny (float32, cpu)"


def test_loading_runs_the_whole_path_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    warm_up = WhisperTranscriber.warm_up

    def counted(self: WhisperTranscriber) -> None:
        warmed.append(self.name)
        warm_up(self)

    monkeypatch.setattr(WhisperTranscriber, "warm_up", counted)
    WhisperTranscriber.load(folder, label="tiny", device="cpu")
    assert warmed == ["whisper tiny (int8, cpu)"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TranscriberError, match=r"found none at .*nowhere"):
        WhisperTranscriber.load(tmp_path / "nowhere", label="x")


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(TranscriberError, match=f"lacks {name}"):
        WhisperTranscriber.load(broken, label="x", device="cpu")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_text("this is not what it was")


@pytest.mark.parametrize("damage", [truncate, empty, scramble])
@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_damaged_file_is_one_line(broken: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(broken / name)
    with pytest.raises(TranscriberError, match="cannot be used") as caught:
        WhisperTranscriber.load(broken, label="x", device="cpu")
    assert "\n" not in str(caught.value)
    assert str(broken) in str(caught.value)


def test_features_of_another_size_are_found_out_while_loading(broken: Path) -> None:
    (broken / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    with pytest.raises(TranscriberError, match="cannot be used"):
        WhisperTranscriber.load(broken, label="x", device="cpu")


def no_graphics(monkeypatch: pytest.MonkeyPatch, count: int = 0) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: count)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    no_graphics(monkeypatch)
    assert present_device("auto") == present_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="expected a CUDA device"):
        present_device("cuda")
    with pytest.raises(DeviceError, match="got 'tpu'"):
        present_device("tpu")
    no_graphics(monkeypatch, count=1)
    assert present_device("auto") == present_device("cuda") == "cuda"


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    supported = {"cpu": {"int8", "float32"}, "cuda": {"int8", "float32", "float16"}}
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", supported.__getitem__)
    assert precise_type("default", "cpu") == "int8"
    assert precise_type("default", "cuda") == "float16"
    assert precise_type("auto", "cpu") == "auto"
    with pytest.raises(TranscriberError, match="got 'int3': choose default, auto, float32, int8"):
        precise_type("int3", "cpu")


def test_auto_leaves_a_graphics_card_aside_that_cannot_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_libraries(folder: Path, *, device: str, **rest: Any) -> IndependentClips:
        if device == "cuda":
            raise TranscriberError("libcublas is missing")
        return open_model(folder, device=device, **rest)

    no_graphics(monkeypatch, count=1)
    monkeypatch.setattr("emostream.models.transcription.whisper.open_model", without_libraries)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        transcriber = WhisperTranscriber.load(folder, label="tiny", device="auto")
    assert transcriber.name == "whisper tiny (int8, cpu)"
    assert [record.message for record in caplog.records if "libcublas" in record.message]


def test_threads_are_one_to_four() -> None:
    assert 1 <= default_threads() <= 4
