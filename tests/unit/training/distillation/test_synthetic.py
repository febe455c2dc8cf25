"""Synthetic speech: determined by the seed, cached on disk, and clear errors where a program is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.distillation.synthetic import synthetic_speech
from emostream.training.errors import SettingsError
from emostream.training.run_log import RunLog

needs_voices = pytest.mark.skipif(
    shutil.which("espeak-ng") is None or shutil.which("flite") is None,
    reason="needs espeak-ng and flite",
)


def line(words: str, split: str = "train") -> Example:
    return Example(corpus="lines", key=words, words=words, emotion="happy", emotion_orig="", split=split)


LINES = [
    line("The door is open, come in!"),
    line("I never said that to her."),
    line("Leave me alone now."),
    line("She went home early last night."),
    line("Too short."),
    line("This one is for validation only.", split="dev"),
    line("Das hört man hier gewiß nicht."),
]


def speech(folder: Path, count: int = 4, seed: int = 1) -> tuple[list[Example], AudioCache]:
    return synthetic_speech(LINES, count, seed, folder, RunLog(folder / "log.txt"))


@needs_voices
def test_the_seed_determines_every_sample(tmp_path: Path) -> None:
    _, first = speech(tmp_path / "first")
    _, again = speech(tmp_path / "again")
    _, other = speech(tmp_path / "other", seed=2)
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples[:8_000], other.samples[:8_000])


@needs_voices
def test_clips_are_training_speech_without_one_of_the_four_labels(tmp_path: Path) -> None:
    examples, audio = speech(tmp_path)
    assert len({example.key for example in examples}) == 4
    for example in examples:
        assert (example.speaker, example.emotion, example.split) == ("synthetic", "other", "train")
        clip = audio.clip(example.key)
        assert 0.5 < len(clip) / 16_000 < 6.0
        assert 0.65 < np.abs(clip).max() < 0.75


@needs_voices
def test_cached_speech_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, before = speech(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    examples, after = speech(tmp_path)
    assert np.array_equal(before.samples, after.samples)
    assert {example.key for example in examples} == set(after.spans)


@pytest.mark.parametrize("missing", ["espeak-ng", "flite"])
def test_a_missing_program_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/usr/bin/{name}")
    with pytest.raises(SettingsError, match=f"expected the program {missing}, found none: install it"):
        speech(tmp_path)


def test_too_few_lines_of_the_right_length(tmp_path: Path) -> None:
    """One is too short, one is for validation, one is not English."""
    with pytest.raises(SettingsError, match="expected 5 lines of 4 to 12 words to speak, got 4"):
        speech(tmp_path, count=5)


def test_no_lines_need_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    examples, _ = speech(tmp_path, count=0)
    assert examples == []
