"""Text encoders: BERT and related architectures."""

from __future__ import annotations

from inspect import signature
from typing import Any, Final

from torch import Tensor, nn
from transformers import MODEL_MAPPING, PretrainedConfig

from ..errors import CheckpointError
from .base import Encoder

TEXT_ENCODERS: Final = (
    "bert",
    "roberta",
    "distilbert",
    "electra",
    "deberta",
    "deberta-v2",
    "mpnet",
    "albert",
    "ernie",
    "camembert",
    "xlm-roberta",
    "modernbert",
)
"""Model types whose output for a line was verified not to depend on the rest of the batch: ConvBERT's
convolutions and Nystromformer's landmarks see the padding."""


class TextEncoder(Encoder):
    """A bidirectional encoder with a learned mix of its layers."""

    def __init__(self, config: PretrainedConfig) -> None:
        """Raises CheckpointError for an unsupported model type."""
        super().__init__(_backbone(config), config.num_hidden_layers, config.hidden_size)

    @property
    def max_tokens(self) -> int | None:
        """The number of position embeddings; None where the architecture has none."""
        table = getattr(self.backbone.embeddings, "position_embeddings", None)
        if table is None:
            return None
        # RoBERTa-like models number positions from after the padding index.
        return int(table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1))

    def layers(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """ids: (B, T) int64; mask: (B, T) bool -> layers + 1 tensors (B, T, H)."""
        output = self.backbone(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        # In hidden_states, the last one precedes or follows a final norm depending on transformers' version.
        return [*output.hidden_states[:-1], output.last_hidden_state]

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids: (B, T) int64; mask: (B, T) bool -> (B, T, H), (B, T)."""
        return self.mix(self.layers(ids, mask)), mask

    def stages(self) -> list[list[nn.Module]]:
        embeddings = [self.backbone.embeddings]
        if hasattr(self.backbone, "embeddings_project"):  # ELECTRA's small sizes
            embeddings.append(self.backbone.embeddings_project)
        return [embeddings, *([layer] for layer in self._stack())]

    def _stack(self) -> nn.ModuleList:
        """The list of layers, named differently by every architecture; empty in ALBERT, which shares one."""
        depth = self.backbone.config.num_hidden_layers
        lists = (part for part in self.backbone.modules() if isinstance(part, nn.ModuleList))
        return next((stack for stack in lists if len(stack) == depth), nn.ModuleList())


def _backbone(config: PretrainedConfig) -> Any:
    if config.model_type not in TEXT_ENCODERS or getattr(config, "is_decoder", False):
        kind = (
            f"{config.model_type} as a decoder" if config.model_type in TEXT_ENCODERS else config.model_type
        )
        raise CheckpointError(
            f"expected a text encoder out of {', '.join(TEXT_ENCODERS)}, got {kind}: name another text model"
        )
    network = MODEL_MAPPING[type(config)]
    return network(config, **without_pooler(network))


def without_pooler(network: type) -> dict[str, bool]:
    """Arguments that omit the pooler, which a masked language model's checkpoint lacks."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature(network).parameters else {}
