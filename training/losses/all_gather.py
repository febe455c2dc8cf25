"""All-gather of rows over all processes, with gradients: several processes then train as one does.

A loss over pairs is no mean over processes of smaller losses: the pairs between processes would be lost. Nor
is any mean over rows that count, where the processes hold different numbers of them. So every process gathers
logits, embeddings, targets and labels, and computes the one loss of the whole batch.

Why the gradients come out right. Let x_p be the rows of process p = 1 ... W, made by weights w that all
share; phi the loss's own weights (a discriminator's); L(x_1, ..., x_W; phi) the loss, in every process the
same function of the same rows. Each process calls backward on its own copy, then gradients are averaged, as
DistributedDataParallel does. What one process with all rows would find is

    dL/dw = sum_p (dx_p/dw)^T dL/dx_p        and        dL/dphi.

Process p has only its own graph behind x_p. If the backward pass of the gathering hands it g_p, the average
is

    1/W sum_p (dx_p/dw)^T g_p                and        1/W sum_p dL/dphi = dL/dphi.

They are equal where g_p = W dL/dx_p. Summing the gradient over the processes would give this, at the price of
a communication in the backward pass; but all W summands are the same, so process p takes its own slice W
times. That needs no communication, hence no agreement between processes on which of them run a backward
pass and when: a process without rows, or without gradients, blocks no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


def all_gather_rows(rows: Tensor, counts: Sequence[int] | None = None) -> Tensor:
    """The rows of all processes, in the order of the processes; `rows` itself where there is only one.

    rows: (N, ...), N may differ between processes and may be 0; the rest, dtype and kind of device may not.
    counts: every process's N, from `all_gather_row_counts`; gathered if not given. Floating rows carry
    gradients, for a loss that every process computes of the same gathered rows (see above); labels carry
    none. A collective call: every process makes it, in the same order.
    """
    if not _is_distributed():
        return rows
    counts = all_gather_row_counts(rows) if counts is None else counts
    blocks = _gather_blocks(rows.detach(), counts)
    own = rows.view_as(rows)  # a separate tensor: other uses of `rows` keep their gradients
    if own.requires_grad:
        own.register_hook(lambda gradient: len(counts) * gradient)
    blocks[distributed.get_rank()] = own
    return torch.cat(blocks)


def all_gather_row_counts(rows: Tensor) -> list[int]:
    """len(rows) in every process, in the order of the processes. A collective call."""
    if not _is_distributed():
        return [len(rows)]
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, own)
    return [int(count) for count in counts]


def _gather_blocks(rows: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Every process's rows, without gradients."""
    longest = max(counts)
    # Not every backend takes blocks of different lengths: they are padded, and the padding dropped.
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows
    blocks = [torch.empty_like(padded) for _ in counts]
    if longest:
        distributed.all_gather(blocks, padded)
    return [block[:count] for block, count in zip(blocks, counts, strict=True)]


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
