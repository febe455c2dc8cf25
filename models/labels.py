"""The emotion labels, in the order of every probability vector."""

from __future__ import annotations

from typing import Final

LABELS: Final[tuple[str, ...]] = ("angry", "happy", "sad", "neutral")
