"""WavLM's self-attention computed by its projections.

transformers hands the projections' weights to a function of torch and never calls the layers, so that an
adapter in a layer's place would change nothing.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

_REPLACED: Final = "torch_multi_head_self_attention"


def call_projections(backbone: nn.Module) -> None:
    """Lets every WavLM attention in the network call its projections; no weight changes."""
    for attention in _attentions(backbone):
        setattr(attention, _REPLACED, _AttentionByProjections(attention))


def restore_attention(backbone: nn.Module) -> None:
    """Undoes `call_projections`."""
    for attention in _attentions(backbone):
        attention.__dict__.pop(_REPLACED, None)


def _attentions(backbone: nn.Module) -> list[Any]:
    return [module for module in backbone.modules() if hasattr(type(module), _REPLACED)]


class _AttentionByProjections:
    """In place of the method `torch_multi_head_self_attention` of an attention."""

    def __init__(self, attention: Any) -> None:
        self._attention = attention

    def __call__(
        self, states: Tensor, mask: Tensor | None, position_bias: Tensor, *_: object
    ) -> tuple[Tensor, None]:
        """states: (B, T, H). mask: (B, T), 1 where valid. position_bias: (B heads, T, T) -> (B, T, H)."""
        attention = self._attention
        batch, frames, _width = states.shape
        query, key, value = (
            projection(states).view(batch, frames, attention.num_heads, -1).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        bias = position_bias.view(batch, attention.num_heads, frames, frames).to(query.dtype)
        if mask is not None:
            bias = bias.masked_fill(mask.ne(1)[:, None, None, :], -torch.inf)
        attended = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias,
            dropout_p=attention.dropout if attention.training else 0.0,
        )
        output: Tensor = attention.out_proj(attended.transpose(1, 2).reshape(batch, frames, -1))
        return output, None
