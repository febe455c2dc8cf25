"""The two sizes that are measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from benchmarks.peak import MOST_S
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.config import reference_config
from emostream.models.emotion import EmotionModel

Size = Literal["bundled", "full size"]
_WEIGHTS: Final[dict[Size, str]] = {"bundled": "bundled", "full size": "full size, random weights"}


def model_of(which: Size) -> EmotionModel:
    """On the CPU, in float32 and eval mode; at full size with random weights."""
    return load_checkpoint(BUNDLED).model if which == "bundled" else EmotionModel(reference_config()).eval()


def medians(repeats: Mapping[Size, int]) -> str:
    """How often each size is called, for the text above a table."""
    which = " and ".join(f"{times} ({_WEIGHTS[size]})" for size, times in repeats.items())
    return f"Median of {which}, or of as many, three at least, as fit {MOST_S:.0f} s,"
