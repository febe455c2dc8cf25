"""Two processes train as one does: the same losses step by step, the same metrics, the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from emostream.training.emotion.settings import ContrastiveSettings, DataSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.trainer.history import History
from emostream.training.trainer.settings import TrainerSettings
from tests.support.training_task import (
    NOISY,
    corpus,
    emotion_task,
    fresh_accelerator,
    network,
    quick_collections,
    run,
)
from tests.support.two_processes import in_two_processes

LOOP = TrainerSettings(
    epochs=2, batch=5, learning_rate=2e-3, encoder_rate=1e-3, patience=0, average_decay=0.5
)
DATA = DataSettings(text_source="gold", augment=NOISY, drop_audio=0.25, drop_text=0.25, label_smoothing=0.1)

WITHOUT_EFFECT = (".k_proj.bias", ".key.bias", ".score.2.bias")
"""A softmax is invariant to a constant added to all scores, so the gradients of these are rounding errors."""
INFONCE_WITHOUT_EFFECT = (*WITHOUT_EFFECT, ".discriminator.bias")


@dataclass(frozen=True)
class Case:
    """objective: "" for cross entropy only."""

    objective: str
    balanced: bool = False
    last_alone: bool = False


CASES = {
    "cross entropy": Case(""),
    "bce": Case("bce"),
    "infonce": Case("infonce"),
    "mine": Case("mine"),
    "balanced": Case("bce", balanced=True),
    "a last batch of one": Case("infonce", last_alone=True),
}


class LastAlone(EmotionTask):
    """The epoch's last batch holds fewer examples than there are processes."""

    __slots__ = ()

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        first, *others = super().epoch_batches(epoch)
        return [*others, first[1:], first[:1]]


def trained(case: Case, folder: Path) -> tuple[EmotionTask, History]:
    data = replace(DATA, balanced=case.balanced)
    contrast = ContrastiveSettings()
    if case.objective:
        contrast = ContrastiveSettings(objective=case.objective, alpha=0.4)  # type: ignore[arg-type]
    task = emotion_task(corpus(13), LOOP, data, contrast, network(dropout=0.0))
    if case.last_alone:
        task = LastAlone(
            task.module,
            task.train,
            task.validation,
            task.collator,
            task.labels,
            task.trainer,
            task.seed,
            task.prediction,
        )
    return task, run(task, LOOP, folder)


def results(folder: Path) -> dict[str, Tensor]:
    """CASE|steps|NAME: one loss per step; CASE|epochs|NAME; CASE|weights|NAME."""
    with quick_collections():
        runs = {name: trained(case, folder / name) for name, case in CASES.items()}
    found: dict[str, Tensor] = {}
    for name, (task, history) in runs.items():
        for part, curve in (("steps", history.steps), ("epochs", history.epochs)):
            for figure in curve[0]:
                values = torch.tensor([point[figure] for point in curve], dtype=torch.float64)
                found[f"{name}|{part}|{figure}"] = values
        for weight, tensor in task.module.state_dict().items():
            found[f"{name}|weights|{weight}"] = tensor
    return found


@pytest.fixture(scope="module")
def all_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Tensor], ...]:
    """The results of one process, and of each of two."""
    with fresh_accelerator():
        single = results(tmp_path_factory.mktemp("alone"))
    return single, *in_two_processes(results, tmp_path_factory.mktemp("two"))


def of(found: Mapping[str, Tensor], case: str, part: str) -> dict[str, Tensor]:
    start = f"{case}|{part}|"
    return {name.removeprefix(start): values for name, values in found.items() if name.startswith(start)}


@pytest.mark.parametrize("case", CASES)
def test_the_curves_are_the_same(all_results: tuple[Mapping[str, Tensor], ...], case: str) -> None:
    single, *two = all_results
    for part in ("steps", "epochs"):
        expected = of(single, case, part)
        assert expected.keys() >= ({"loss", "cross_entropy"} if part == "steps" else {"ua", "wa"})
        for process in two:
            torch.testing.assert_close(of(process, case, part), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_the_same(all_results: tuple[Mapping[str, Tensor], ...], case: str) -> None:
    single, *two = all_results
    expected = of(single, case, "weights")
    free = INFONCE_WITHOUT_EFFECT if CASES[case].objective == "infonce" else WITHOUT_EFFECT
    for process in two:
        for name, weights in of(process, case, "weights").items():
            if not name.endswith(free):
                torch.testing.assert_close(weights, expected[name], rtol=0, atol=1e-4, msg=name)


def test_the_cases_differ_as_intended(all_results: tuple[Mapping[str, Tensor], ...]) -> None:
    single = all_results[0]
    lengths = {case: len(single[f"{case}|steps|loss"]) for case in CASES}
    assert lengths["bce"] == 6
    assert lengths["a last batch of one"] == 8
    assert {case for case in CASES if f"{case}|steps|contrastive" in single} == set(CASES) - {"cross entropy"}
    losses = [tuple(single[f"{case}|steps|loss"].tolist()) for case in CASES]
    assert len(set(losses)) == len(CASES)
