"""The words that are said in a part of a clip: sound and text are cut alike (docs/adr/0037)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emostream.models import Alignment


@dataclass(frozen=True, slots=True)
class Window:
    """start, end: of the part, in samples of the clip. whole: the clip's length."""

    start: int
    end: int
    whole: int

    def holds(self, start: float, end: float) -> bool:
        """Whether the middle of a span is inside."""
        return self.start <= (start + end) / 2 < self.end

    def holds_share(self, index: int, count: int) -> bool:
        """The same for one of `count` spans of equal length that fill the clip."""
        return self.holds(index * self.whole / count, (index + 1) * self.whole / count)


def text_inside(text: str | Tensor | None, alignment: Alignment, window: Window) -> str | Tensor | None:
    """The part of a text that is said in the window; None where nothing is.

    text: a string, or the states (L, T, H) of its tokens. alignment: of the clip. Words are chosen by their
    times where the alignment has one for each; otherwise, and tokens always, as if they were of equal length.
    The first and the last token, which stand for the whole text, stay.
    """
    if text is None:
        return None
    if isinstance(text, Tensor):
        inner = text.shape[1] - 2
        kept = [1 + index for index in range(inner) if window.holds_share(index, inner)]
        return text[:, torch.tensor([0, *kept, text.shape[1] - 1])] if kept else None
    words = text.split()
    if len(words) == len(alignment.words):
        inside = [window.holds(word.start, word.end) for word in alignment.words]
    else:
        inside = [window.holds_share(index, len(words)) for index in range(len(words))]
    return " ".join(word for word, held in zip(words, inside, strict=True) if held) or None
