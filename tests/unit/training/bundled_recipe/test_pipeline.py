"""The whole run's rules: who is heard in which stage, and who never is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models.emotion import EmotionModel
from emostream.training.bundled_recipe import pipeline
from emostream.training.bundled_recipe.audio_student import new_student
from emostream.training.bundled_recipe.distill import DistillationData
from emostream.training.bundled_recipe.pipeline import AudioData, RecipePaths, hear
from emostream.training.bundled_recipe.provenance import Provenance
from emostream.training.bundled_recipe.settings import DistillationSettings, RunSettings, StudentSize
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.errors import SettingsError
from emostream.training.run_log import Log
from tests.support.corpus_trees import write_lines, write_sound
from tests.support.recipe_run import LINES
from tests.support.training_task import fresh_accelerator

SMALL = StudentSize(mel_bins=40, audio_width=64, audio_layers=1, mix_width=16, text_width=16, vocabulary=60)
SETTINGS = RunSettings(
    name="trial",
    student=SMALL,
    distil=DistillationSettings(without=("judged",), synthetic=3),
)


@pytest.fixture(autouse=True)
def _no_accelerator() -> Iterator[None]:
    with fresh_accelerator():
        yield
    torch.set_flush_denormal(False)  # `train` has the processor flush denormal numbers, for good


@pytest.fixture
def places(tmp_path: Path) -> RecipePaths:
    """Two corpora with a speaker of each split, two clips each."""
    rows = ["path,corpus,speaker,emotion,split"]
    for corpus in ("judged", "other"):
        for split in ("train", "dev", "test"):
            for number, emotion in enumerate(("happy", "sad")):
                name = f"{corpus}-{split}-{number}.wav"
                write_sound(tmp_path / "data" / name, emotion, number)
                rows.append(f"{name},{corpus},{corpus}-{split},{emotion},{split}")
    write_lines(tmp_path / "data" / "manifest.csv", rows)
    return RecipePaths(tmp_path / "data", tmp_path / "weights", tmp_path / "work", tmp_path / "out")


def spoken() -> list[Example]:
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
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[DistillationData]:
    """What each distillation is given; all that it does is to add one to a weight."""
    given: list[DistillationData] = []

    def distil(model: EmotionModel, data: DistillationData, *rest: Any) -> None:
        given.append(data)
        with torch.no_grad():
            model.absent_audio.add_(1.0)

    monkeypatch.setattr(pipeline, "distil", distil)
    monkeypatch.setattr(pipeline, "WhisperTeacher", lambda *_: None)
    monkeypatch.setattr(pipeline, "read_text_corpus", lambda *_: LINES)
    voices = AudioCache(np.zeros(0, np.int16), {})
    monkeypatch.setattr(pipeline, "synthetic_speech", lambda *_: (spoken(), voices))
    return given


def heard(places: RecipePaths) -> Provenance:
    provenance, log = Provenance(), Log(places.work / "log.txt")
    hear(new_student(SMALL), SETTINGS, places, AudioData.read(places), provenance, log)
    return provenance


def test_no_stage_hears_a_test_speaker(places: RecipePaths, lessons: list[DistillationData]) -> None:
    heard(places)
    (data,) = lessons
    assert {clip.split for clip in data.train} == {"train"}
    assert {clip.split for clip in data.dev} == {"dev"}
    assert all(clip.key in data.sounds[""].spans for clip in data.dev)


def test_it_hears_nothing_of_the_corpora_it_goes_without(
    places: RecipePaths, lessons: list[DistillationData]
) -> None:
    heard(places)
    (data,) = lessons
    assert {clip.corpus for clip in data.train} == {"other", "synthetic"}
    assert {clip.corpus for clip in data.dev} == {"other"}
    assert sum(clip.corpus == "synthetic" for clip in data.train) == 3


def test_who_was_heard_is_written_down(
    places: RecipePaths, lessons: list[DistillationData], tmp_path: Path
) -> None:
    heard(places).write(tmp_path / "used.csv")
    with (tmp_path / "used.csv").open(newline="") as file:
        rows = [(row["stage"], row["speaker"], int(row["clips"])) for row in csv.DictReader(file)]
    assert sorted(rows) == [
        ("distillation", "other-train", 2),
        ("distillation", "synthetic", 3),
        ("distillation, validation loss only", "other-dev", 2),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"distil": DistillationSettings(without=())}, "the judged corpus judged in it, got none"),
        ({"distil": DistillationSettings(without=("jugded",))}, "among judged, other, got 'jugded'"),
        ({"judged": "nobody"}, "among judged, other, got 'nobody'"),
        ({}, "a corpus with folds of its own, judged has none"),
    ],
)
def test_what_would_fail_after_an_hour_fails_at_once(
    change: dict[str, Any], says: str, places: RecipePaths, lessons: list[DistillationData]
) -> None:
    with pytest.raises(SettingsError, match=says):
        pipeline.train(replace(SETTINGS, **({"judged": "judged"} | change)), places)
    assert not lessons


def test_a_folder_of_another_run_is_refused(places: RecipePaths, lessons: list[DistillationData]) -> None:
    """Its snapshots are of other stages; a name and a note make no other run."""
    first = replace(SETTINGS, judged="judged")
    for settings, says in (
        (first, "folds of its own"),
        (replace(first, name="again", note="x"), "folds of its own"),
        (replace(first, seed=2), "expected the settings that .* was begun with"),
    ):
        with pytest.raises(SettingsError, match=says):
            pipeline.train(settings, places)


def test_a_student_is_drawn_by_its_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(new_student(SMALL).state_dict())
    first, again, other = drawn
    assert all(torch.equal(weights, again[name]) for name, weights in first.items())
    assert any(not torch.equal(weights, other[name]) for name, weights in first.items())
