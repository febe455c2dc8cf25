"""LoRA: low-rank adapters in the linear layers of an encoder, trained in place of its weights.

A layer's weight W becomes W + (alpha / rank) B A with W fixed (Hu et al., arXiv 2106.09685); merged, the sum
is a weight like any other, so the checkpoint is served as any other.
"""

from __future__ import annotations

from torch import nn

from emostream.models.emotion import EmotionModel
from emostream.models.encoders.base import Encoder

from ..errors import SettingsError
from .wavlm_attention import call_projections, restore_attention


def add_adapters(encoder: Encoder, rank: int, alpha: int) -> None:
    """Fixes the encoder's weights and adds adapters to all linear layers that would have been trained.

    What was frozen before gets none: an encoder that is wholly frozen stays as it is. Raises SettingsError
    where peft is not installed.
    """
    names = _trainable_linear_layers(encoder)
    if not names:
        return
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise SettingsError(
            "expected the package peft where lora_rank is above 0, got none: pip install 'emostream[train]'"
        ) from error
    encoder.backbone.requires_grad_(False)
    call_projections(encoder.backbone)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), encoder.backbone)


def has_adapters(encoder: Encoder) -> bool:
    """Whether adapters are trained in place of the encoder's weights."""
    return any(".lora_A." in name for name, _ in encoder.backbone.named_parameters())


def merge_adapters(model: EmotionModel) -> None:
    """Adds every adapter's product to its layer's weight, in place; the network is then as it was loaded."""
    for encoder in (model.audio_encoder, model.text_encoder):
        if has_adapters(encoder):
            merge_encoder(encoder)


def merge_encoder(encoder: Encoder) -> None:
    """The same for one encoder that has adapters."""
    from peft.tuners.lora import LoraLayer

    adapted = [
        (name, layer) for name, layer in encoder.backbone.named_modules() if isinstance(layer, LoraLayer)
    ]
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        parent, _, own = name.rpartition(".")
        setattr(encoder.backbone.get_submodule(parent), own, layer.get_base_layer())
    restore_attention(encoder.backbone)


def _trainable_linear_layers(encoder: Encoder) -> list[str]:
    return [
        name
        for name, layer in encoder.backbone.named_modules()
        if isinstance(layer, nn.Linear) and any(weights.requires_grad for weights in layer.parameters())
    ]
