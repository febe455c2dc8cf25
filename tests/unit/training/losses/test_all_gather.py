"""All-gather with gradients: two processes give the losses and gradients of one with all rows."""

from __future__ import annotations

import torch

from emostream.training.losses.all_gather import all_gather_row_counts, all_gather_rows


def test_a_single_process_gets_its_own_rows_back() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert all_gather_rows(rows) is rows
    assert all_gather_row_counts(rows) == [3]
