"""Co-attention and pooling, against loops written from the formulas."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from emostream.models.fusion import (
    AttentivePooling,
    CoAttention,
    ConcatFusion,
    EarlyFusion,
    FusionSize,
    MaskedSequence,
)


def heads_by_hand(attention: nn.MultiheadAttention, query: Tensor, keys: Tensor) -> Tensor:
    """One item, one head after another, one query after another."""
    width, heads = query.shape[1], attention.num_heads
    part = width // heads
    wq, wk, wv = attention.in_proj_weight.split(width)
    bq, bk, bv = attention.in_proj_bias.split(width)
    q, k, v = query @ wq.T + bq, keys @ wk.T + bk, keys @ wv.T + bv
    rows = []
    for row in q:
        pieces = []
        for head in range(heads):
            at = slice(head * part, (head + 1) * part)
            scores = torch.stack([row[at] @ key[at] / math.sqrt(part) for key in k])
            pieces.append(sum(p * value[at] for p, value in zip(scores.softmax(0), v, strict=True)))
        rows.append(torch.cat(pieces))
    joined: Tensor = attention.out_proj(torch.stack(rows))
    return joined


def stream_by_hand(stream: Any, x: Tensor, y: Tensor) -> Tensor:
    x = stream.attention_norm(x + heads_by_hand(stream.attention, x, y))
    normed: Tensor = stream.feed_forward_norm(x + stream.feed_forward(x))
    return normed


@pytest.fixture
def fusion() -> CoAttention:
    torch.manual_seed(3)
    return CoAttention(FusionSize(width=8, heads=2, feed_forward=12, layers=2, dropout=0.3)).eval()


def relative_error(got: Tensor, reference: Tensor) -> float:
    return float((got.double() - reference).norm() / reference.norm())


@pytest.mark.parametrize("layers", [1, 2, 4])
@torch.no_grad()
def test_each_layer_equals_its_formula(layers: int) -> None:
    """A' = LN(A + MHA(A, T, T)) and T' = LN(T + MHA(T, A, A)), both from the layer before, then FFN + LN.

    The network in float32 against slow loops in float64.
    """
    torch.manual_seed(3)
    fusion = CoAttention(FusionSize(width=24, heads=4, feed_forward=36, layers=layers, dropout=0.3)).eval()
    audio, text = torch.randn(50, 24), torch.randn(13, 24)
    audio_states, text_states = fusion(
        audio[None], torch.ones(1, 50, dtype=torch.bool), text[None], torch.ones(1, 13, dtype=torch.bool)
    )
    slow, (audio, text) = copy.deepcopy(fusion).double(), (audio.double(), text.double())
    for audio_layer, text_layer in zip(slow.audio, slow.text, strict=True):
        audio, text = stream_by_hand(audio_layer, audio, text), stream_by_hand(text_layer, text, audio)
    assert relative_error(audio_states[0], audio) < 1e-5
    assert relative_error(text_states[0], text) < 1e-5


def test_padding_does_not_change_the_result(fusion: CoAttention) -> None:
    audio, text = torch.randn(1, 4, 8), torch.randn(1, 3, 8)
    clean = fusion(audio, torch.ones(1, 4, dtype=torch.bool), text, torch.ones(1, 3, dtype=torch.bool))
    padded = fusion(
        torch.cat([audio, 100 * torch.randn(1, 2, 8)], 1),
        torch.tensor([[True] * 4 + [False] * 2]),
        torch.cat([text, 100 * torch.randn(1, 3, 8)], 1),
        torch.tensor([[True] * 3 + [False] * 3]),
    )
    torch.testing.assert_close(padded[0][:, :4], clean[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded[1][:, :3], clean[1], atol=1e-5, rtol=1e-5)


def test_pooling_is_a_weighted_mean_and_deviation() -> None:
    torch.manual_seed(0)
    pool = AttentivePooling(6, deviation=True)
    x, mask = torch.randn(1, 4, 6), torch.tensor([[True, True, True, False]])
    scores = [math.exp(pool.score(row).item()) for row in x[0, :3]]
    shares = [score / sum(scores) for score in scores]
    mean = sum(share * row for share, row in zip(shares, x[0, :3], strict=True))
    variance = sum(share * (row - mean) ** 2 for share, row in zip(shares, x[0, :3], strict=True))
    expected = torch.cat([mean, (variance + 1e-5).sqrt()])
    torch.testing.assert_close(pool(x, mask)[0], expected, atol=1e-6, rtol=1e-5)


def test_each_granularity_has_its_own_co_attention_stream() -> None:
    """The head gets the streams concatenated, in the order of the granularities."""
    torch.manual_seed(1)
    size = FusionSize(width=8, heads=2, feed_forward=12, layers=1, dropout=0.0)
    early = EarlyFusion(size, ["frame", "word"], nn.Identity()).eval()
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    frames, words, tokens = (MaskedSequence(torch.randn(1, 3, 8), everywhere) for _ in range(3))
    output = early({"frame": frames, "word": words}, tokens)
    assert output.logits.shape == (1, 32)
    frame_audio, frame_text = early.streams["frame"](frames, tokens)
    word_audio, word_text = early.streams["word"](words, tokens)
    torch.testing.assert_close(output.logits, torch.cat([frame_audio, frame_text, word_audio, word_text], 1))
    torch.testing.assert_close(output.audio, torch.cat([frame_audio, word_audio], 1))
    torch.testing.assert_close(output.text, torch.cat([frame_text, word_text], 1))


def test_concatenation_classifies_the_means_of_both_sides() -> None:
    """Computed by hand: means over the valid positions, side by side, one linear layer."""
    torch.manual_seed(1)
    fusion = ConcatFusion(4, classes=3, dropout=0.7).eval()
    audio, text = torch.randn(2, 5, 4), torch.randn(2, 3, 4)
    audio_mask = torch.arange(5) < torch.tensor([5, 2])[:, None]
    text_mask = torch.arange(3) < torch.tensor([1, 3])[:, None]
    output = fusion(MaskedSequence(audio, audio_mask), MaskedSequence(text, text_mask))
    linear = fusion.head[1]
    assert isinstance(linear, nn.Linear)
    for row, (frames, tokens) in enumerate([(5, 1), (2, 3)]):
        codes = audio[row, :frames].mean(0), text[row, :tokens].mean(0)
        torch.testing.assert_close(output.audio[row], codes[0])
        torch.testing.assert_close(output.text[row], codes[1])
        torch.testing.assert_close(output.logits[row], linear.weight @ torch.cat(codes) + linear.bias)
