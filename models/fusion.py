"""Fusion before the classifier: by co-attention, one stream per granularity, or by concatenation; and
attentive pooling of a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .encoders.layer_mix import masked_mean


@dataclass(frozen=True, slots=True)
class FusionSize:
    """width: of both sides. heads: attention heads. feed_forward: inner width. layers: K."""

    width: int
    heads: int
    feed_forward: int
    layers: int
    dropout: float


@dataclass(frozen=True, slots=True)
class MaskedSequence:
    """x: (B, T, D). mask: (B, T), true where valid, at least once per row."""

    x: Tensor
    mask: Tensor


class _Side(nn.Module):
    """One side of a co-attention layer: X' = LN(X + MHA(X, Y, Y)), then X'' = LN(X' + FFN(X'))."""

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(size.width, size.heads, dropout=size.dropout, batch_first=True)
        self.attention_norm = nn.LayerNorm(size.width)
        self.feed_forward = nn.Sequential(
            nn.Linear(size.width, size.feed_forward),
            nn.GELU(),
            nn.Dropout(size.dropout),
            nn.Linear(size.feed_forward, size.width),
            nn.Dropout(size.dropout),
        )
        self.feed_forward_norm = nn.LayerNorm(size.width)

    def forward(self, x: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        # Without the weights, torch takes its fused scaled-dot-product attention.
        attended, _ = self.attention(x, y, y, key_padding_mask=~y_mask, need_weights=False)
        x = self.attention_norm(x + attended)
        normed: Tensor = self.feed_forward_norm(x + self.feed_forward(x))
        return normed


class CoAttention(nn.Module):
    """K layers in which audio attends to text and text to audio, both from the previous layer.

    A' = LN(A + MHA(A, T, T)), T' = LN(T + MHA(T, A, A)), each followed by FFN + LN (in the sense of
    ViLBERT; Zhao, Wang, Wang, arXiv 2207.04697).
    """

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.audio = nn.ModuleList(_Side(size) for _ in range(size.layers))
        self.text = nn.ModuleList(_Side(size) for _ in range(size.layers))

    def forward(
        self, audio: Tensor, audio_mask: Tensor, text: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """audio: (B, Ta, D), text: (B, Tt, D); masks true where valid, at least once per row."""
        for audio_layer, text_layer in zip(self.audio, self.text, strict=True):
            audio, text = audio_layer(audio, text, text_mask), text_layer(text, audio, audio_mask)
        return audio, text


class AttentivePooling(nn.Module):
    """Attention-weighted mean and, with `deviation`, weighted standard deviation, concatenated.

    heads: number of attentions, each over its own part of the width; it must divide the width. Source:
    attentive statistics pooling, Okabe et al., arXiv 1803.10963; several heads, India et al., arXiv
    1906.09890.
    """

    def __init__(self, width: int, *, deviation: bool = False, heads: int = 1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"expected pooling_heads that divide the width {width}, got {heads}")
        self.score = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, heads))
        self.deviation = deviation

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, T, D), mask: (B, T) -> (B, D), or (B, 2 D) with the deviation."""
        score = self.score(x).masked_fill(~mask[..., None], -torch.inf)  # (B, T, heads)
        share = score.softmax(1).repeat_interleave(x.shape[-1] // score.shape[-1], dim=-1)  # (B, T, D)
        mean: Tensor = (share * x).sum(1)  # (B, D)
        if not self.deviation:
            return mean
        variance = (share * (x - mean[:, None]) ** 2).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


class GranularStream(nn.Module):
    """Co-attention of one granularity with the tokens, then each side pooled to a vector."""

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.fusion = CoAttention(size)
        self.audio_pool = AttentivePooling(size.width)
        self.text_pool = AttentivePooling(size.width)

    def forward(self, audio: MaskedSequence, text: MaskedSequence) -> tuple[Tensor, Tensor]:
        """-> (B, D) of each side."""
        fused_audio, fused_text = self.fusion(audio.x, audio.mask, text.x, text.mask)
        return self.audio_pool(fused_audio, audio.mask), self.text_pool(fused_text, text.mask)


@dataclass(frozen=True, slots=True)
class FusedOutput:
    """logits: (B, C). audio, text: (B, A), (B, T), what the classifier has read of each side."""

    logits: Tensor
    audio: Tensor
    text: Tensor


class EarlyFusion(nn.Module):
    """A stream for each granularity, concatenated and classified. head: (B, 2 D streams) -> (B, C)."""

    def __init__(self, size: FusionSize, granularities: Sequence[str], head: nn.Module) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({name: GranularStream(size) for name in granularities})
        self.head = head

    def forward(self, audio: Mapping[str, MaskedSequence], text: MaskedSequence) -> FusedOutput:
        """audio: granularity -> its sequence."""
        pairs = [stream(audio[name], text) for name, stream in self.streams.items()]
        logits: Tensor = self.head(torch.cat([vector for pair in pairs for vector in pair], dim=1))
        audio_side, text_side = (torch.cat(side, dim=1) for side in zip(*pairs, strict=True))
        return FusedOutput(logits, audio_side, text_side)


class ConcatFusion(nn.Module):
    """The mean of each projected side, its code; both concatenated, dropout, one linear layer.

    Source: Qian and Han, arXiv 2211.10885, where contrastive regularization compares these very codes.
    """

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, classes))

    def forward(self, audio: MaskedSequence, text: MaskedSequence) -> FusedOutput:
        """audio, text: projected to the same width."""
        codes = masked_mean(audio.x, audio.mask), masked_mean(text.x, text.mask)
        return FusedOutput(self.head(torch.cat(codes, dim=1)), *codes)
