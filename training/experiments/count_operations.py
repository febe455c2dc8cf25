"""What one clip costs in training: floating-point operations, and bytes kept for the gradient.

The networks are built from their configurations with weights of zero, and nothing is downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from emostream.models import SAMPLE_RATE_HZ
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel, EncodedModality
from emostream.models.encoders.base import Encoder
from emostream.models.encoders.factory import freeze, make_audio_encoder, make_text_encoder
from emostream.models.granularity import SpanBatch

from ..emotion.lora import add_adapters
from ..emotion.model_factory import settings_of_new_parts
from ..emotion.settings import FreezeDepth, ModelSettings
from .encoder_shapes import encoder_shape
from .experiment import Experiment

_SPANS_A_TOKEN: Final = 4
"""Phones, of which there are more than of any other span."""


@dataclass(frozen=True, slots=True)
class EncoderWork:
    """Of one clip, or of its text. forward: operations; front_end: those of the part below the layers. kept:
    bytes of float32 kept for the gradient. states: bytes of all layers' states in half precision. weights,
    trained: how many there are, and how many of them a gradient changes.
    """

    forward: float
    front_end: float
    backward: float
    kept: int
    states: int
    weights: int
    trained: int


@dataclass(frozen=True, slots=True)
class FitWork:
    """audio, text: of the encoders, which a frozen model with cached features does not run in training.

    forward, training: operations of a clip's prediction and of its share of a step. kept_bytes: for the
    gradient. static_bytes: of weights, gradients and optimizer. trained: weights that training changes.
    """

    audio: EncoderWork
    text: EncoderWork
    forward: float
    training: float
    kept_bytes: int
    static_bytes: int
    trained: int


def work_of(experiment: Experiment, seconds: float, tokens: int) -> FitWork:
    """Of the experiment's fit, for a clip of so many seconds with so many tokens."""
    model, data, trainer = experiment.model, experiment.data, experiment.trainer
    lora = (model.lora_rank, model.lora_alpha)
    checkpointing = trainer.gradient_checkpointing
    audio = _audio_work(model.audio, model.audio_frozen, lora, checkpointing, seconds)
    text = _text_work(model.text, model.text_frozen, lora, checkpointing, tokens)
    fusion, fusion_kept, fusion_weights = _fusion_work(model, seconds, tokens)
    used = [
        encoder
        for encoder, read in ((audio, data.use_audio), (text, data.text_source != "none"))
        if read and not data.cache_features
    ]
    trained = fusion_weights + sum(encoder.trained for encoder in used)
    frozen = audio.weights + text.weights - sum(encoder.trained for encoder in used)
    forward = fusion + sum(encoder.forward for encoder in used)
    recomputed = sum(encoder.forward - encoder.front_end for encoder in used if encoder.trained)
    return FitWork(
        audio,
        text,
        forward,
        training=3 * fusion
        + sum(encoder.forward + encoder.backward for encoder in used)
        + (recomputed if checkpointing else 0),
        kept_bytes=fusion_kept + sum(encoder.kept for encoder in used),
        static_bytes=16 * trained + 4 * frozen,  # weight, gradient and two moments, in float32
        trained=trained,
    )


@functools.cache
def _audio_work(
    name: str, frozen: FreezeDepth, lora: tuple[int, int], checkpointing: bool, seconds: float
) -> EncoderWork:
    with torch.device("meta"):
        encoder = make_audio_encoder(encoder_shape(name))
    samples = torch.zeros(1, int(seconds * SAMPLE_RATE_HZ))
    return _encoder_work(encoder, frozen, lora, checkpointing, samples)


@functools.cache
def _text_work(
    name: str, frozen: FreezeDepth, lora: tuple[int, int], checkpointing: bool, tokens: int
) -> EncoderWork:
    with torch.device("meta"):
        encoder = make_text_encoder(encoder_shape(name))
    return _encoder_work(encoder, frozen, lora, checkpointing, torch.full((1, tokens), 5))


def _encoder_work(
    encoder: Encoder, frozen: FreezeDepth, lora: tuple[int, int], checkpointing: bool, inputs: Tensor
) -> EncoderWork:
    """One forward pass on the CPU; the backward pass follows from what is trained."""
    _fill_with_zeros(encoder)
    freeze(encoder, frozen)
    if lora[0]:
        add_adapters(encoder, lora[0], lora[1])
    if checkpointing:
        encoder.checkpoint_gradients()
    encoder.train()
    with FlopCounterMode(display=False) as counter, _kept_bytes(encoder) as kept:
        below: list[int] = []
        first = next(
            module for stage in encoder.stages()[1] for module in stage.modules() if _is_leaf(module)
        )
        hook = first.register_forward_pre_hook(lambda *_: below.append(counter.get_total_flops()))
        features, _ = encoder(inputs, torch.ones_like(inputs, dtype=torch.bool))
        hook.remove()
    forward, front_end = float(counter.get_total_flops()), float(below[0])
    trained = sum(w.numel() for w in encoder.backbone.parameters() if w.requires_grad)
    # A product's gradient is two products: one for its input, one for its weight unless that is fixed.
    if not trained:
        backward = 0.0
    else:
        through = forward if frozen == "none" and not lora[0] else forward - front_end
        backward = (1.0 if lora[0] else 2.0) * through
    states = encoder.states * features.shape[1] * encoder.state_size * 2
    weights = sum(w.numel() for w in encoder.backbone.parameters())
    return EncoderWork(forward, front_end, backward, kept[0] if trained else 0, states, weights, trained)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _fill_with_zeros(module: nn.Module) -> None:
    """Real memory for a module that was built on no device: quicker than random weights, and as good here."""
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.zero_()


@contextmanager
def _kept_bytes(module: nn.Module) -> Iterator[list[int]]:
    """Bytes of what operations in the block keep for a gradient, the module's own weights apart."""
    own = {weights.untyped_storage().data_ptr() for weights in module.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    found = [0]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
    found[0] = sum(seen.values())


def _fusion_work(model: ModelSettings, seconds: float, tokens: int) -> tuple[float, int, int]:
    """Operations, bytes kept and weights of everything behind the encoders, for one clip."""
    config = EmotionConfig(
        audio_config=encoder_shape(model.audio),
        text_config=encoder_shape(model.text),
        **settings_of_new_parts(model, ("angry", "happy", "sad", "neutral")),
    )
    with torch.device("meta"):
        network = EmotionModel(config)
        frames = int(seconds * SAMPLE_RATE_HZ / network.audio_encoder.step)
        present = torch.ones(1, dtype=torch.bool)
        audio = EncodedModality(
            torch.zeros(1, frames, network.audio_encoder.hidden_size),
            torch.ones(1, frames, dtype=torch.bool),
            present,
        )
        text = EncodedModality(
            torch.zeros(1, tokens, network.text_encoder.hidden_size),
            torch.ones(1, tokens, dtype=torch.bool),
            present,
        )
        spans = _SPANS_A_TOKEN * tokens
        boxes = {
            kind: SpanBatch(
                torch.zeros(1, spans, 2, dtype=torch.long), torch.ones(1, spans, dtype=torch.bool)
            )
            for kind in config.spans
        }
        with FlopCounterMode(display=False) as counter:
            network.fuse(audio, text, boxes)
    encoders = (network.audio_encoder.backbone, network.text_encoder.backbone)
    inside = {id(weights) for encoder in encoders for weights in encoder.parameters()}
    weights = sum(w.numel() for w in network.parameters() if id(w) not in inside)
    # Behind the encoders little is kept: some ten tensors of the width for each frame and stream.
    kept = 40 * frames * config.width * len(config.granularities) * max(1, config.layers)
    return float(counter.get_total_flops()), kept, weights
