"""Which examples go together in a batch, and which of a batch go to which process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

from emostream.models.batching import MIN_COUNTED_S, length_sorted_batches

from ..errors import SettingsError

T = TypeVar("T")

_POOL: Final = 8
"""Batches whose examples are sorted by length together: random enough in order, and half the padding."""


def mixed_batches(
    labels: Sequence[int], lengths: Sequence[float], size: int, rng: np.random.Generator
) -> list[list[int]]:
    """Every example once, in batches that hold at least two labels each and examples of similar length.

    A batch of one emotion has no pair of different emotions to learn from. labels, lengths: of the N
    examples. A last batch of a single example joins the one before it. Raises SettingsError for a size
    under 2, and where there are too few examples of a second label.
    """
    if size < 2 or len(set(labels)) < 2:
        raise SettingsError(
            f"expected batches of 2 or more and examples of two or more labels, got {size} and "
            f"{len(set(labels))}: change batch or the choice of examples"
        )
    batches = length_grouped_batches(lengths, size, rng)
    for batch in batches:
        if _has_one_label(batch, labels):
            _swap_in_second_label(batch, batches, labels)
    return batches


def length_grouped_batches(lengths: Sequence[float], size: int, rng: np.random.Generator) -> list[list[int]]:
    """Every example once, those of similar length together, the batches in random order.

    A last batch of a single example joins the one before it.
    """
    order = rng.permutation(len(lengths)).tolist()
    pools = [order[start : start + _POOL * size] for start in range(0, len(order), _POOL * size)]
    order = [item for pool in pools for item in sorted(pool, key=lambda item: lengths[item])]
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] += last
    return [batches[index] for index in rng.permutation(len(batches))]


def mixed_batches_of_seconds(
    labels: Sequence[int], lengths: Sequence[float], budget_s: float, rng: np.random.Generator
) -> list[list[int]]:
    """Every example, in batches that hold at least two labels each, examples of similar length, and no more
    padded seconds than the budget. Where the labels cannot be mixed otherwise, a short example comes twice.

    A batch's padded seconds are its longest example's times its number of examples: what the network
    computes and keeps, so short examples come many to a batch and long ones few. lengths: in seconds. Raises
    SettingsError where two of the longest do not fit, and where there is only one label.
    """
    least = 2 * max([MIN_COUNTED_S, *lengths])
    if len(set(labels)) < 2 or budget_s < least:
        raise SettingsError(
            f"expected batch_seconds of at least {least:g}, two of the longest clips, and examples of two or "
            f"more labels, got {budget_s:g} and {len(set(labels))}: change batch_seconds or max_seconds"
        )

    def fits(items: Sequence[int]) -> bool:
        return max(lengths[item] for item in items) * len(items) <= budget_s

    order = rng.permutation(len(lengths)).tolist()
    pool_count = max(1, round(sum(lengths) / (_POOL * budget_s)))
    batches = []
    for pool in np.array_split(np.array(order), pool_count):
        batches += [
            [int(pool[index]) for index in batch]
            for batch in length_sorted_batches([lengths[item] for item in pool], budget_s)
        ]
    added: list[list[int]] = []
    for batch in batches:
        if _has_one_label(batch, labels) and not _mix_within_budget(batch, batches, labels, fits):
            added += _with_repeated(batch, labels, lengths, fits)
            batch.clear()
    batches = [batch for batch in batches + added if batch]
    return [batches[index] for index in rng.permutation(len(batches))]


def _mix_within_budget(
    batch: list[int],
    batches: Sequence[list[int]],
    labels: Sequence[int],
    fits: Callable[[Sequence[int]], bool],
) -> bool:
    """Empties the batch into another one, or moves an example of another label here, or swaps one, so that no
    batch leaves the budget and none that has two labels loses one. False where nothing of it is possible.
    """
    for other in batches:
        if any(labels[item] != labels[batch[0]] for item in other) and fits([*other, *batch]):
            other += batch
            batch.clear()
            return True
    for other in batches:
        for item in [item for item in other if labels[item] != labels[batch[0]]]:
            rest = [kept for kept in other if kept != item]
            if len(rest) > 1 and not _has_one_label(rest, labels) and fits([*batch, item]):
                other[:] = rest
                batch.append(item)
                return True
            for given in batch:
                swapped = [*rest, given], [*(own for own in batch if own != given), item]
                if not any(_has_one_label(items, labels) for items in swapped) and all(map(fits, swapped)):
                    other[:], batch[:] = swapped
                    return True
    return False


def _with_repeated(
    batch: Sequence[int],
    labels: Sequence[int],
    lengths: Sequence[float],
    fits: Callable[[Sequence[int]], bool],
) -> list[list[int]]:
    """The batch with the shortest example of another label, which is in another batch too; in several parts
    where they do not fit together.
    """
    others = [item for item in range(len(labels)) if labels[item] != labels[batch[0]]]
    repeated = min(others, key=lambda item: lengths[item])
    parts: list[list[int]] = []
    for item in batch:
        if not parts or not fits([*parts[-1], item]):
            parts.append([repeated])
        parts[-1].append(item)
    return parts


def _has_one_label(batch: Sequence[int], labels: Sequence[int]) -> bool:
    return len({labels[item] for item in batch}) == 1


def _swap_in_second_label(batch: list[int], batches: Sequence[list[int]], labels: Sequence[int]) -> None:
    """Swaps the batch's last example for another batch's, so that both hold two labels."""
    for other in batches:
        for index, item in enumerate(other):
            if labels[item] != labels[batch[0]]:
                last, batch[-1] = batch[-1], item
                other[index] = last
                if not _has_one_label(other, labels):
                    return
                other[index], batch[-1] = item, last
    raise SettingsError(
        f"expected enough examples of a second label for {len(batches)} batches of two labels each, "
        "got fewer: choose larger batches"
    )


def balanced_sample(cells: Sequence[T], rng: np.random.Generator, *, most_repeats: int = 3) -> list[int]:
    """Indices of examples such that every cell comes up equally often in an epoch.

    cells: of each example, such as (corpus, label). Each cell gives as many as the cell of median size has; a
    smaller one is repeated, at most `most_repeats` times, of a larger one a random part is drawn.
    """
    members: dict[T, list[int]] = {}
    for index, cell in enumerate(cells):
        members.setdefault(cell, []).append(index)
    median = int(np.median([len(rows) for rows in members.values()]))
    drawn: list[int] = []
    for rows in members.values():
        count = min(median, most_repeats * len(rows))
        rounds = [rng.permutation(len(rows)) for _ in range(-(-count // len(rows)))]
        drawn += [rows[index] for index in np.concatenate(rounds)[:count]]
    return drawn


def shard_batch(items: list[int], process: int, processes: int) -> tuple[list[int], list[bool]]:
    """This process's part of a batch, and which of it counts.

    All parts are of one size; where the batch does not divide, its first examples fill up and do not count.
    """
    size = -(-len(items) // processes)
    shard = items[process::processes]
    padding = size - len(shard)
    return shard + items[:padding], [True] * len(shard) + [False] * padding
