"""The recipe's folds: no test speaker is trained on, and every clip is tested once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_settings

from emostream.models import LABELS
from emostream.models.emotion import EmotionModel
from emostream.training.bundled_recipe.audio_student import new_student
from emostream.training.bundled_recipe.cross_fusion import (
    FusionStage,
    PairedTextData,
    crossvalidate_with_text,
)
from emostream.training.bundled_recipe.heads import (
    FOLDS,
    HeadPaths,
    HeadRunContext,
    cross_corpus_fold,
    crossvalidate_heads,
    head_run_context,
    six_folds,
    train_final_head,
)
from emostream.training.bundled_recipe.pairs import PairSampler
from emostream.training.bundled_recipe.settings import FusionSettings, HeadSettings, StudentSize
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.data.audio_cache import cached_audio
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.settings import DataSettings
from emostream.training.evaluation.crossvalidation import LABEL_MATCHED, MATCHED_TEXT_ONLY, OWN_TRANSCRIPT
from emostream.training.evaluation.text_conflict import PairedTexts
from emostream.training.experiments.folds import Fold
from emostream.training.experiments.run import fit_fold
from emostream.training.run_log import RunLog
from emostream.training.trainer.callbacks import NoCallback
from emostream.training.trainer.settings import TrainerSettings
from tests.support.corpus_trees import write_sound
from tests.support.recipe_run import LINES, same
from tests.support.tiny_emotion import tiny_tokenizer
from tests.support.training_task import fresh_accelerator, one_thread

EVALUATED = "acted"


def clip(corpus: str, speaker: int, number: int, split: str, group: str = "") -> Example:
    return Example(
        corpus=corpus,
        key=f"{corpus}/{speaker}/{number}",
        speaker=f"{corpus}-{speaker}",
        emotion=LABELS[number % 4],
        emotion_orig="",
        split=split,
        group=group,
    )


def examples() -> list[Example]:
    """Two dozen speakers in six groups, as RAVDESS has them, and nine of another corpus with splits only."""
    splits = ["train"] * 16 + ["dev"] * 4 + ["test"] * 4
    acted = [
        clip(EVALUATED, speaker, number, splits[speaker], str(1 + speaker % 6))
        for speaker in range(24)
        for number in range(8)
    ]
    splits = ["train"] * 5 + ["dev"] * 2 + ["test"] * 2
    return acted + [
        clip("read", speaker, number, splits[speaker]) for speaker in range(9) for number in range(12)
    ]


def untrained(*_: object) -> NoReturn:
    raise AssertionError("expected no further training step")


def speakers(part: list[Example]) -> set[str]:
    return {example.speaker for example in part}


def test_no_speaker_is_in_two_parts() -> None:
    for fold in [*six_folds(examples(), EVALUATED), cross_corpus_fold(examples(), EVALUATED)]:
        train, validation, test = map(speakers, (fold.train, fold.validation, fold.test))
        assert train
        assert validation
        assert not train & validation
        assert not (train | validation) & test


def test_every_clip_of_the_evaluated_corpus_is_tested_once_and_no_other() -> None:
    folds = six_folds(examples(), EVALUATED)
    assert [fold.name for fold in folds] == list("123456")
    tested = Counter(example.key for fold in folds for example in fold.test)
    assert tested == {example.key: 1 for example in examples() if example.corpus == EVALUATED}


def test_other_corpora_keep_their_splits() -> None:
    for fold in six_folds(examples(), EVALUATED):
        assert {example.split for example in fold.train if example.corpus != EVALUATED} == {"train"}
        assert {example.split for example in fold.validation if example.corpus != EVALUATED} == {"dev"}


def test_the_rest_of_the_evaluated_corpus_trains_or_validates() -> None:
    chosen = []
    for fold in six_folds(examples(), EVALUATED):
        own = Counter(example.corpus for example in fold.validation)
        assert own[EVALUATED] == own["read"] == 24  # three speakers of eight clips, and as many of the others
        rest = speakers([example for example in fold.train if example.corpus == EVALUATED])
        assert len(rest) == 24 - 4 - 3
        chosen.append(frozenset(s for s in speakers(fold.validation) if s.startswith(EVALUATED)))
    assert len(set(chosen)) == 6


def test_the_cross_corpus_fold_trains_on_nothing_of_the_evaluated_corpus() -> None:
    fold = cross_corpus_fold(examples(), EVALUATED)
    assert {example.corpus for example in fold.train + fold.validation} == {"read"}
    assert {example.split for example in fold.validation} == {"dev"}
    assert sorted(e.key for e in fold.test) == sorted(e.key for e in examples() if e.corpus == EVALUATED)


def test_folds_are_deterministic() -> None:
    assert six_folds(examples(), EVALUATED) == six_folds(examples(), EVALUATED)


@pytest.mark.parametrize("speaker", ["acted-3", "read-0"])
def test_groups_that_share_a_speaker_are_refused(speaker: str) -> None:
    stray = replace(examples()[0], key="stray", speaker=speaker)
    with pytest.raises(CorpusError, match=f"speaker {speaker} is in"):
        six_folds([*examples(), stray], EVALUATED)


class TestTraining:
    """On tones: each emotion has its own, so that a random encoder separates them."""

    SETTINGS = HeadSettings(
        data=DataSettings(
            text_source="none", cache_features=True, views=2, frames_per_clip=16, balanced=True
        ),
        trainer=TrainerSettings(epochs=12, batch=8, learning_rate=1e-2, patience=0, keep="last"),
    )

    @pytest.fixture(autouse=True)
    def _one_thread_and_no_accelerator(self) -> Iterator[None]:
        with one_thread(), fresh_accelerator():
            yield

    @pytest.fixture
    def clips(self, tmp_path: Path) -> list[Example]:
        found = []
        for seed, (speaker, split) in enumerate([(0, "train"), (1, "train"), (2, "dev"), (3, "test")]):
            for number in range(4):
                one = clip(EVALUATED, speaker, number, split, str(speaker))
                path = tmp_path / "sounds" / f"{speaker}-{number}.wav"
                write_sound(path, one.emotion, 10 * seed + number)
                found.append(replace(one, path=path))
        return found

    @pytest.fixture
    def model(self) -> EmotionModel:
        torch.manual_seed(0)
        size = StudentSize(
            mel_bins=40, audio_width=64, audio_layers=1, mix_width=16, text_width=16, vocabulary=120
        )
        return new_student(replace_settings(size, max_tokens=32))

    def context(self, model: EmotionModel, clips: list[Example], folder: Path) -> HeadRunContext:
        paths = HeadPaths(folder / "work", folder / "cache", RunLog(folder / "log.txt"))
        return head_run_context(model, tiny_tokenizer(), clips, self.SETTINGS, [1], paths)

    def test_a_head_learns_and_the_encoder_stays(
        self, model: EmotionModel, clips: list[Example], tmp_path: Path
    ) -> None:
        context, log = self.context(model, clips, tmp_path), RunLog(tmp_path / "log.txt")
        train, validation = ([e for e in clips if e.split == split] for split in ("train", "dev"))
        fitted = train_final_head(context, train, validation, 1, log)
        assert fitted.validation_ua == 1.0
        assert same(fitted.model.audio_encoder.backbone, model.audio_encoder.backbone)
        assert not same(fitted.model.audio_head, model.audio_head)

    def test_finished_folds_are_read_from_disk(
        self, model: EmotionModel, clips: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts = [[e for e in clips if e.split == split] for split in ("train", "dev", "test")]
        fold, log = Fold("3", *parts), RunLog(tmp_path / "log.txt")
        (first,) = crossvalidate_heads(self.context(model, clips, tmp_path), [fold], FOLDS, [1], log)
        assert first.keys == tuple(example.key for example in parts[2])
        assert (first.probabilities.argmax(1) == first.truth).all()
        monkeypatch.setattr("emostream.training.experiments.run.fit_fold", None)
        (second,) = crossvalidate_heads(self.context(model, clips, tmp_path), [fold], FOLDS, [1], log)
        np.testing.assert_allclose(first.probabilities, second.probabilities, atol=1e-6)
        assert "six folds 3, seed 1: WA 1.000" in (tmp_path / "log.txt").read_text()

    def stage(self, model: EmotionModel, clips: list[Example], folder: Path) -> FusionStage:
        context = self.context(model, clips, folder)
        settings = FusionSettings(epochs=2, batch=8)
        sampler = PairSampler(LINES, LABELS, ["strange"], settings)
        text_data = PairedTextData(
            sampler, sampler, LINES, PairedTexts(LINES, [line.emotion for line in LINES])
        )
        audio = cached_audio(clips, folder / "cache")
        return FusionStage(context, audio, text_data, settings, 1, RunLog(folder / "log.txt"))

    def test_every_fold_is_evaluated_with_text_and_the_student_stays(
        self, model: EmotionModel, clips: list[Example], tmp_path: Path
    ) -> None:
        clips = [replace(one, words="well, there it is") for one in clips]
        before = deepcopy(model.state_dict())
        parts = [[e for e in clips if e.split == split] for split in ("train", "dev", "test")]
        stage, fold = self.stage(model, clips, tmp_path), Fold("3", *parts)
        own, matched, text = crossvalidate_with_text(model, stage, [fold], 1)
        assert [one.row for one in (own, matched, text)] == [OWN_TRANSCRIPT, LABEL_MATCHED, MATCHED_TEXT_ONLY]
        for one in (own, matched, text):
            assert one.keys == tuple(example.key for example in parts[2])
            assert [LABELS[number] for number in one.truth] == [example.emotion for example in parts[2]]
        # One text for all clips of a label gives one prediction; each label has a line of its own.
        assert len(np.unique(text.probabilities.round(9), axis=0)) == 4
        assert (own.predicted == own.truth).all()
        assert not np.allclose(own.probabilities, matched.probabilities)
        for name, weights in model.state_dict().items():
            assert torch.equal(weights, before[name]), name

    @pytest.mark.long
    def test_the_head_with_text_is_that_of_audio_only(
        self, model: EmotionModel, clips: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Trained once: the fold without text continues the fit of the fold with text."""
        parts = [[e for e in clips if e.split == split] for split in ("train", "dev", "test")]
        stage, fold = self.stage(model, clips, tmp_path), Fold("3", *parts)
        heads = []
        monkeypatch.setattr(FusionStage, "__call__", lambda _, whole, head, *__: heads.append(head))
        crossvalidate_with_text(model, stage, [fold], 1)
        monkeypatch.setattr(EmotionTrainingModule, "forward", untrained)
        fitted = fit_fold(stage.context, FOLDS, fold, 1, NoCallback())
        assert same(fitted.model.audio_head, heads[0].audio_head)

    @pytest.mark.long
    def test_a_foreign_language_corpus_is_not_evaluated_with_its_own_words(
        self, model: EmotionModel, clips: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clips = [replace(one, words="no to jest", language="pl") for one in clips]
        parts = [[e for e in clips if e.split == split] for split in ("train", "dev", "test")]
        found = crossvalidate_with_text(model, self.stage(model, clips, tmp_path), [Fold("3", *parts)], 1)
        assert [one.row for one in found] == [LABEL_MATCHED, MATCHED_TEXT_ONLY]
        monkeypatch.setattr("emostream.training.bundled_recipe.cross_fusion.fit_fold", None)
        again = crossvalidate_with_text(model, self.stage(model, clips, tmp_path), [Fold("3", *parts)], 1)
        for first, second in zip(found, again, strict=True):
            np.testing.assert_array_equal(first.probabilities, second.probabilities)
