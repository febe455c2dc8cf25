"""Frames inside spans, and their pooling: against hand-computed spans."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emostream.models import Alignment, Span, Word
from emostream.models.collate import collate_spans
from emostream.models.granularity import SpanBatch, SpanPooling, frames_inside

CENTRES = torch.tensor([200, 520, 840, 1160, 1480, 1800])
"""Six frames, a step apart."""

STEP = 320


def spans(*bounds: tuple[int, int]) -> SpanBatch:
    return SpanBatch(torch.tensor([bounds]), torch.ones(1, len(bounds), dtype=torch.bool))


def frames_of(*bounds: tuple[int, int], valid: int = 6) -> list[list[int]]:
    inside = frames_inside(spans(*bounds), CENTRES, (torch.arange(6) < valid)[None], STEP)
    return [row.nonzero()[:, 0].tolist() for row in inside[0]]


BY_HAND = {
    "start is in, end is out": ((200, 840), [0, 1]),
    "all of it": ((0, 2000), [0, 1, 2, 3, 4, 5]),
    "one centre": ((500, 560), [1]),
    "between two centres, nearer to the second": ((700, 760), [2]),
    "between two centres, nearer to the first": ((600, 660), [1]),
    "before the first centre": ((0, 60), [0]),
    "behind the last centre": ((1900, 1990), [5]),
    "empty": ((800, 800), []),
    "backwards": ((900, 800), []),
    "past the sound": ((5000, 6000), []),
    "a little past the sound": ((2300, 2400), []),
    "reaching over the end": ((1700, 9000), [5]),
    "before the clip": ((-900, -600), []),
    "middle one step before the first centre": ((-125, -114), [0]),
    "middle one step and a sample before it": ((-126, -115), []),
    "middle one step behind the last centre": ((2115, 2126), [5]),
    "middle one step and a sample behind it": ((2116, 2127), []),
    "middle almost a step and a half behind it": ((2270, 2280), []),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_frames_of_a_span(name: str) -> None:
    bounds, expected = BY_HAND[name]
    assert frames_of(bounds) == [expected]


def test_overlapping_spans_share_frames() -> None:
    assert frames_of((0, 900), (500, 1200)) == [[0, 1, 2], [1, 2, 3]]


def test_padding_frames_are_in_no_span() -> None:
    assert frames_of((0, 2000), (1400, 1900), (1100, 1130), valid=3) == [[0, 1, 2], [], [2]]


def test_padding_spans_are_empty() -> None:
    batch = SpanBatch(torch.tensor([[(0, 600), (0, 600)]]), torch.tensor([[True, False]]))
    inside = frames_inside(batch, CENTRES, torch.ones(1, 6, dtype=torch.bool), STEP)
    assert inside.any(2).tolist() == [[True, False]]


ONE_FRAME = {
    "beside the centre": (200, (0, 100), True),
    "centre at the clip's start": (0, (20, 30), True),
    "middle one step away": (200, (515, 526), True),
    "middle one step and a sample away": (200, (516, 527), False),
    "centre at the clip's start, more than a step away": (0, (395, 405), False),
    "far away": (200, (5000, 5100), False),
}


@pytest.mark.parametrize("name", ONE_FRAME)
@pytest.mark.parametrize("padding", [0, 1, 5])
def test_a_clip_of_one_frame(name: str, padding: int) -> None:
    """Its spans do not depend on the lengths of the other clips."""
    centre, bounds, held = ONE_FRAME[name]
    frames = torch.arange(1 + padding)
    inside = frames_inside(spans(bounds), centre + STEP * frames, (frames < 1)[None], STEP)
    assert inside.tolist() == [[[held] + [False] * padding]]


def test_mean_pooling_equals_the_mean() -> None:
    frames = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]])
    inside = torch.tensor([[[True, True, False], [False, True, True], [False, False, False]]])
    pooled, held = SpanPooling(2, "mean")(frames, inside)
    assert pooled.tolist() == [[[1.5, 15.0], [4.0, 40.0], [0.0, 0.0]]]
    assert held.tolist() == [[True, True, False]]


def test_attentive_pooling_is_a_softmax_over_the_span_only() -> None:
    torch.manual_seed(0)
    pooling = SpanPooling(3, "attentive")
    frames = torch.randn(1, 4, 3)
    inside = torch.tensor([[[True, True, False, False], [False, False, False, False]]])
    pooled, held = pooling(frames, inside)
    assert pooling.score is not None
    scores = [pooling.score(row).exp().item() for row in frames[0, :2]]
    by_hand = sum(score / sum(scores) * row for score, row in zip(scores, frames[0, :2], strict=True))
    torch.testing.assert_close(pooled[0, 0], by_hand)
    assert pooled[0, 1].tolist() == [0.0, 0.0, 0.0]
    assert held.tolist() == [[True, False]]


@pytest.mark.parametrize("how", ["mean", "attentive"])
@given(
    bounds=st.lists(
        st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)), min_size=1, max_size=8
    ),
    valid=st.integers(0, 6),
)
def test_any_span_gives_finite_results_and_gradients(
    how: str, bounds: list[tuple[int, int]], valid: int
) -> None:
    """Whatever the bounds, and each span either has frames or is masked."""
    torch.manual_seed(0)
    pooling = SpanPooling(3, "mean" if how == "mean" else "attentive")
    frames = torch.randn(1, 6, 3, requires_grad=True)
    inside = frames_inside(spans(*bounds), CENTRES, (torch.arange(6) < valid)[None], STEP)
    pooled, held = pooling(frames, inside)
    pooled.sum().backward()
    assert frames.grad is not None
    assert bool(torch.isfinite(pooled).all())
    assert bool(torch.isfinite(frames.grad).all())
    assert torch.equal(held, inside.any(2))
    assert not inside[..., valid:].any()


def test_alignments_of_different_lengths_are_batched() -> None:
    alignments = [
        Alignment(
            words=(Word("any", 0, 900),),
            syllables=(Span("EH", 0, 300), Span("N-IY", 300, 900)),
            phones=(Span("EH", 0, 300), Span("N", 300, 400), Span("IY", 400, 900)),
            method="forced",
        ),
        Alignment(),
    ]
    batch = collate_spans(alignments, ("phone", "syllable", "word"))
    assert {kind: found.bounds[0].tolist() for kind, found in batch.items()} == {
        "phone": [[0, 300], [300, 400], [400, 900]],
        "syllable": [[0, 300], [300, 900]],
        "word": [[0, 900]],
    }
    for found in batch.values():
        assert found.mask[0].all()
        assert not found.mask[1].any()


def test_only_the_requested_tiers_are_batched() -> None:
    assert set(collate_spans([Alignment()], ("phone", "word"))) == {"phone", "word"}


def test_a_batch_without_spans() -> None:
    batch = collate_spans([Alignment(), Alignment()], ("syllable",))["syllable"]
    assert batch.bounds.shape == (2, 1, 2)
    assert not batch.mask.any()
