"""Batches, seeding, the learning rate over the steps and of each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from emostream.models.encoders.base import Encoder
from emostream.models.encoders.factory import freeze
from emostream.training.errors import SettingsError
from emostream.training.trainer.batching import (
    balanced_sample,
    length_grouped_batches,
    mixed_batches,
    mixed_batches_of_seconds,
)
from emostream.training.trainer.lr_schedule import (
    layerwise_lr_groups,
    remaining_params_group,
    warmup_linear_decay,
)
from emostream.training.trainer.seeding import example_rng, seed_torch
from tests.support.tiny_encoders import LAYERS, tiny_audio_encoder, tiny_text_encoder


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[int], int]:
    """Labels of up to 60 examples, some of them rare, and a batch size."""
    labels = draw(st.lists(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2]), min_size=2, max_size=60))
    return labels, draw(st.integers(2, 9))


def possible(labels: Sequence[int], size: int) -> bool:
    """Every batch needs one example that is not of the commonest label; a last one of one joins another."""
    batches = len(labels) // size + (len(labels) % size > 1)
    return len(labels) - max(Counter(labels).values()) >= max(1, batches)


@given(corpora(), st.integers(0, 99))
def test_every_example_once_and_two_labels_in_every_batch(drawn: tuple[list[int], int], seed: int) -> None:
    labels, size = drawn
    lengths = [float(number % 7) for number in range(len(labels))]
    if not possible(labels, size):
        with pytest.raises(SettingsError, match="expected"):
            mixed_batches(labels, lengths, size, rng(seed))
        return
    batches = mixed_batches(labels, lengths, size, rng(seed))
    assert sorted(item for batch in batches for item in batch) == list(range(len(labels)))
    for batch in batches:
        assert len({labels[item] for item in batch}) >= 2
        assert 2 <= len(batch) <= size + 1
    assert sum(len(batch) != size for batch in batches) <= 1


@given(st.lists(st.floats(0, 30), max_size=80), st.integers(2, 9), st.integers(0, 99))
def test_length_grouped_batches_hold_every_example_once_and_none_is_alone(
    lengths: list[float], size: int, seed: int
) -> None:
    batches = length_grouped_batches(lengths, size, rng(seed))
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))
    odd = [len(batch) for batch in batches if len(batch) != size]
    rest = len(lengths) % size
    alone = rest == 1 and len(lengths) > size
    assert odd == ([size + 1] if alone else [rest] if rest else [])


def test_length_grouped_batches_hold_similar_lengths_in_random_order() -> None:
    lengths = [float(number) for number in rng().permutation(24)]
    batches = length_grouped_batches(lengths, 4, rng(1))
    ranges = [sorted(lengths[item] for item in batch) for batch in batches]
    assert sorted(ranges) == [[4.0 * n + step for step in range(4)] for n in range(6)]
    assert ranges != sorted(ranges)
    assert batches != length_grouped_batches(lengths, 4, rng(2))
    assert batches == length_grouped_batches(lengths, 4, rng(1))


@pytest.mark.parametrize(
    ("labels", "size", "message"),
    [
        (
            [0, 0, 0, 0],
            2,
            "batches of 2 or more and examples of two or more labels, got 2 and 1: change batch",
        ),
        (
            [0, 1, 0, 1],
            1,
            "batches of 2 or more and examples of two or more labels, got 1 and 2: change batch",
        ),
        (
            [0, 0, 0, 0, 0, 0, 1],
            2,
            "a second label for 3 batches of two labels each, got fewer: choose larger",
        ),
    ],
)
def test_impossible_batches_are_refused(labels: list[int], size: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        mixed_batches(labels, [1.0] * len(labels), size, rng())


def test_mixed_batches_hold_similar_lengths_in_random_order() -> None:
    lengths = rng(1).uniform(0.5, 10.0, 512)
    labels = (np.arange(512) % 4).tolist()

    def padding(batches: list[list[int]]) -> float:
        return float(sum(max(lengths[batch]) * len(batch) - sum(lengths[batch]) for batch in batches))

    plan = mixed_batches(labels, lengths.tolist(), 16, rng(2))
    shuffled = rng(3).permutation(512).reshape(-1, 16).tolist()
    assert padding(plan) < 0.3 * padding(shuffled)
    longest = [max(lengths[batch]) for batch in plan]
    assert abs(np.corrcoef(longest, np.arange(len(plan)))[0, 1]) < 0.5  # not sorted from short to long
    assert plan == mixed_batches(labels, lengths.tolist(), 16, rng(2))
    assert plan != mixed_batches(labels, lengths.tolist(), 16, rng(4))


def test_balanced_sampling_draws_every_cell_equally_often() -> None:
    cells = [("a", 0)] * 40 + [("a", 1)] * 10 + [("b", 0)] * 8 + [("b", 1)] * 2 + [("b", 2)] * 12
    drawn = balanced_sample(cells, rng())
    assert Counter(cells[index] for index in drawn) == {
        ("a", 0): 10,
        ("a", 1): 10,
        ("b", 0): 10,
        ("b", 1): 6,  # three times each, no more
        ("b", 2): 10,
    }
    counts = Counter(drawn)
    assert max(counts[index] for index in range(50)) == 1  # a cell that is large enough repeats no example
    assert {counts[index] for index in (58, 59)} == {3}
    seen = {index for seed in range(30) for index in balanced_sample(cells, rng(seed)) if index < 40}
    assert seen == set(range(40))


def test_random_numbers_depend_on_seed_epoch_and_key() -> None:
    first = example_rng(1, 2, "clip").random(4)
    example_rng(1, 2, "another clip").random(9)
    assert np.array_equal(example_rng(1, 2, "clip").random(4), first)
    others = [example_rng(0, 2, "clip"), example_rng(1, 3, "clip"), example_rng(1, 2, "clap")]
    assert not any(np.array_equal(other.random(4), first) for other in others)


def test_dropout_differs_in_each_step_and_process() -> None:
    def drawn(*place: int) -> tuple[float, ...]:
        seed_torch(*place)
        return tuple(torch.rand(3).tolist())

    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert len({drawn(*place) for place in places}) == len(places)
    assert drawn(0, 3, 7, 1) == drawn(0, 3, 7, 1)


@pytest.mark.parametrize(
    ("steps", "warmup", "expected"),
    [
        (5, 0.0, [1, 1, 3 / 4, 2 / 4, 1 / 4]),
        (6, 0.5, [1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3]),
        (4, 1.0, [1 / 4, 2 / 4, 3 / 4, 1]),
        (1, 0.1, [1]),
    ],
)
def test_the_learning_rate_rises_and_falls_linearly(steps: int, warmup: float, expected: list[float]) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    schedule = warmup_linear_decay(optimizer, steps, warmup)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"] / 2.0)
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected)


AUDIO = ("wav2vec2, layer norm", "wav2vec2, stable", "hubert", "wavlm", "whisper")
TEXT = ("bert", "roberta", "distilbert", "modernbert")


def encoder_of(kind: str) -> Encoder:
    return tiny_audio_encoder(kind) if kind in AUDIO else tiny_text_encoder(kind)


def rates_of(module: nn.Module, groups: Sequence[dict[str, object]]) -> dict[str, float]:
    """Name of the parameter -> its rate. Fails if one is in two groups."""
    names = {id(weights): name for name, weights in module.named_parameters()}
    rates: dict[str, float] = {}
    for group in groups:
        params, rate = group["params"], group["lr"]
        assert isinstance(params, list)
        assert isinstance(rate, float)
        for weights in params:
            assert names[id(weights)] not in rates
            rates[names[id(weights)]] = rate
    return rates


def stage_of(encoder: Encoder, name: str) -> int:
    """0 for the front end, 1 for the lowest layer, ...; the top for what comes after all layers."""
    own = dict(encoder.named_parameters())[name]
    for depth, modules in enumerate(encoder.stages()):
        if any(own is weights for module in modules for weights in module.parameters()):
            return depth
    return len(encoder.stages()) - 1


class WithHead(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(4, 2)


@pytest.mark.parametrize("depth", ["none", "front_end", 1, "all"])
@pytest.mark.parametrize("kind", [*AUDIO, *TEXT])
def test_every_layer_has_a_lower_rate_than_the_one_above_it(kind: str, depth: str | int) -> None:
    model = WithHead(encoder_of(kind))
    freeze(model.encoder, depth)  # type: ignore[arg-type]
    groups = layerwise_lr_groups(model.encoder, 1e-3, 0.5)
    rates = rates_of(model, [remaining_params_group(model, groups, 0.1), *groups])
    trainable = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert set(rates) == trainable
    new = {name for name, rate in rates.items() if rate == 0.1}
    assert new == {"head.weight", "head.bias", "encoder.mix.weights"}
    for name in trainable - new:
        above = LAYERS - stage_of(model.encoder, name.removeprefix("encoder."))
        assert rates[name] == pytest.approx(1e-3 * 0.5**above), name


@pytest.mark.parametrize(
    ("kind", "top", "lowest", "front"),
    [
        ("wav2vec2, layer norm", "encoder.layers.2.", "encoder.layers.0.", "feature_extractor."),
        ("whisper", "layers.2.", "layers.0.", "conv1."),
        ("bert", "encoder.layer.2.", "encoder.layer.0.", "embeddings."),
    ],
)
def test_layerwise_rates_by_parameter_name(kind: str, top: str, lowest: str, front: str) -> None:
    encoder = encoder_of(kind)
    rates = rates_of(encoder, layerwise_lr_groups(encoder, 1.0, 0.5))
    for part, rate in ((top, 1.0), (lowest, 0.25), (front, 0.125)):
        found = {rates[name] for name in rates if name.startswith(f"backbone.{part}")}
        assert found == {rate}, part


@st.composite
def clips(draw: st.DrawFn) -> tuple[list[int], list[float], float]:
    """Labels, seconds, and a budget that two of the longest fit."""
    labels = draw(
        st.lists(st.integers(0, 3), min_size=2, max_size=60).filter(lambda found: len(set(found)) > 1)
    )
    lengths = [draw(st.floats(0.5, 12.0)) for _ in labels]
    return labels, lengths, 2 * max(lengths) + draw(st.floats(0.0, 40.0))


@given(clips(), st.integers(0, 99))
def test_batches_of_seconds_hold_every_example_within_the_budget(
    drawn: tuple[list[int], list[float], float], seed: int
) -> None:
    labels, lengths, budget = drawn
    batches = mixed_batches_of_seconds(labels, lengths, budget, rng(seed))
    times = Counter(item for batch in batches for item in batch)
    assert set(times) == set(range(len(labels)))
    for batch in batches:
        assert max(lengths[item] for item in batch) * len(batch) <= budget
        assert len(set(batch)) == len(batch)
        assert len({labels[item] for item in batch}) > 1


def test_batches_share_seconds_and_not_counts() -> None:
    lengths = rng(1).gamma(4.0, 1.1, 2000).clip(0.6, 8.0)  # as in a corpus of dialogue
    labels = (np.arange(2000) % 4).tolist()
    batches = mixed_batches_of_seconds(labels, lengths.tolist(), 144.0, rng(2))
    seconds = np.array([max(lengths[batch]) * len(batch) for batch in batches])
    counts = [len(batch) for batch in batches]
    assert seconds.max() <= 144.0
    assert np.median(seconds) > 0.9 * 144.0
    assert sum(lengths) / sum(seconds) > 0.85  # padding is little
    assert max(counts) > 3 * min(counts)
    assert sum(counts) == 2000  # none is repeated where the labels are mixed
    longest = [max(lengths[batch]) for batch in batches]
    assert abs(np.corrcoef(longest, np.arange(len(batches)))[0, 1]) < 0.5
    assert batches != mixed_batches_of_seconds(labels, lengths.tolist(), 144.0, rng(3))


@pytest.mark.parametrize(("labels", "budget"), [([0, 1, 0], 15.9), ([0, 0, 0], 100.0)])
def test_a_budget_for_less_than_two_clips_or_one_label_is_refused(labels: list[int], budget: float) -> None:
    with pytest.raises(SettingsError, match=r"batch_seconds of at least 16, two of the longest clips, and"):
        mixed_batches_of_seconds(labels, [8.0, 2.0, 1.0], budget, rng())
