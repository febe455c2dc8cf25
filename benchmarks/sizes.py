"""The two sizes that are measured."""

from __future__ import annotations

from typing import Literal

from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.config import reference_config
from emostream.models.emotion import EmotionModel

Size = Literal["bundled", "full size"]


def model_of(which: Size) -> EmotionModel:
    """On the CPU, in float32 and eval mode; at full size with random weights."""
    return load_checkpoint(BUNDLED).model if which == "bundled" else EmotionModel(reference_config()).eval()
