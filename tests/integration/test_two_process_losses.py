"""Two processes that gather their rows have the losses and the gradients of one process with all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from emostream.training.losses.all_gather import all_gather_row_counts, all_gather_rows
from emostream.training.losses.combined import CombinedLoss
from emostream.training.losses.contrastive import ContrastiveLossName
from emostream.training.losses.cross_entropy import soft_cross_entropy
from emostream.training.losses.discriminator import DiscriminatorSize
from tests.support.two_processes import in_two_processes

KINDS: tuple[ContrastiveLossName, ...] = get_args(ContrastiveLossName)

ROWS, WIDTH, CLASSES, STEPS = 8, 6, 4, 3

AUDIO_LABELS = torch.tensor([0, 1, 2, 3, 1, 1, 0, 2])

TEXT_LABELS = torch.tensor([1, 0, 3, 0, 2, 2, 1, 3])


class Split(NamedTuple):
    """How many audio rows, and how many text rows, process 0 has."""

    audio: int
    text: int


SPLITS = {
    "even": Split(4, 4),
    "uneven": Split(5, 2),
    "no audio in process 1": Split(8, 3),
    "nothing in process 0": Split(0, 0),
}


class SmallModel(nn.Module):
    """Two encoders and a head; its forward is the loss of the rows of all processes."""

    def __init__(self, kind: ContrastiveLossName) -> None:
        super().__init__()
        self.audio, self.text = nn.Linear(5, WIDTH), nn.Linear(7, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)
        self.total = CombinedLoss(0.4, kind, DiscriminatorSize(WIDTH, WIDTH, hidden=WIDTH))

    def forward(self, audio: Tensor, audio_labels: Tensor, text: Tensor, text_labels: Tensor) -> Tensor:
        counts = all_gather_row_counts(audio)
        embeddings = self.audio(audio)
        targets = nn.functional.one_hot(audio_labels, CLASSES) * (audio_labels != 3)[:, None]
        entropy = soft_cross_entropy(
            all_gather_rows(self.head(embeddings), counts),
            all_gather_rows(targets.to(embeddings.dtype), counts),
            0.1,
        )
        losses: Mapping[str, Tensor] = self.total(
            entropy,
            all_gather_rows(embeddings, counts),
            all_gather_rows(self.text(text)),
            all_gather_rows(audio_labels, counts),
            all_gather_rows(text_labels),
        )
        return losses["loss"]


def rows_of_process(split: Split, process: int | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rows of one process, or all of them."""
    generator = torch.Generator().manual_seed(3)
    audio = torch.randn(ROWS, 5, generator=generator, dtype=torch.float64)
    text = torch.randn(ROWS, 7, generator=generator, dtype=torch.float64)
    parts = {None: (slice(None),) * 2, 0: (slice(split.audio), slice(split.text))}
    parts[1] = slice(split.audio, None), slice(split.text, None)
    audio_rows, text_rows = parts[process]
    return audio[audio_rows], AUDIO_LABELS[audio_rows], text[text_rows], TEXT_LABELS[text_rows]


def training_trace(
    kind: ContrastiveLossName, split: Split, process: int | None
) -> Iterator[tuple[str, Tensor]]:
    """Losses, gradients and weights of three steps, by name; process None: one process with all rows."""
    torch.manual_seed(0)
    model = SmallModel(kind).double()
    module = model if process is None else DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(STEPS):
        loss = module(*rows_of_process(split, process))
        optimizer.zero_grad()
        loss.backward()
        yield f"loss {step}", loss.detach()
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            yield f"gradient {step} {name}", weight.grad.clone()
        optimizer.step()
    for name, tensor in model.state_dict().items():
        yield f"state {name}", tensor.clone()


def all_cases(folder: Path) -> dict[str, Tensor]:
    """What each process runs: every loss on every split, and the gathering alone."""
    rank = distributed.get_rank()
    results = {
        f"{kind} {split} {name}": tensor
        for kind in KINDS
        for split, counts in SPLITS.items()
        for name, tensor in training_trace(kind, counts, rank)
    }
    own = torch.arange(3 * rank, 3 + rank)  # 0 1 2 | 3
    results["counts"] = torch.tensor(all_gather_row_counts(own))
    results["labels"] = all_gather_rows(own)
    results["mask"] = all_gather_rows(own > 1, [3, 1])
    results["images"] = all_gather_rows(own[:, None, None].expand(-1, 2, 5).float())
    results["none"] = all_gather_rows(torch.zeros(0, 4))
    rows = torch.zeros(2, requires_grad=True)
    (all_gather_rows(5.0 * rows).sum() + rows.sum()).backward()
    assert rows.grad is not None
    results["gradient"] = rows.grad
    return results


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    return in_two_processes(all_cases, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_two_processes_train_as_one(
    kind: ContrastiveLossName, split: str, processes: list[dict[str, Tensor]]
) -> None:
    single = dict(training_trace(kind, SPLITS[split], None))
    assert any(name.startswith("gradient 0 total.") and bool(x.any()) for name, x in single.items())
    for process in processes:
        for name, expected in single.items():
            got = process[f"{kind} {split} {name}"]
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-10, msg=f"{name}: {got} {expected}")


def test_rows_come_in_the_order_of_the_processes(processes: list[dict[str, Tensor]]) -> None:
    for results in processes:
        assert results["counts"].tolist() == [3, 1]
        assert results["labels"].tolist() == [0, 1, 2, 3]
        assert results["mask"].tolist() == [False, False, True, True]
        assert results["images"].shape == (4, 2, 5)
        assert results["images"][:, 1, 4].tolist() == [0, 1, 2, 3]
        assert results["none"].shape == (0, 4)


def test_only_the_gathered_rows_gradient_is_multiplied(processes: list[dict[str, Tensor]]) -> None:
    for results in processes:
        assert results["gradient"].tolist() == [2 * 5 + 1, 2 * 5 + 1]
