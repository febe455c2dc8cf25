"""Streams of one speaker's utterances: drawn for training, simulated for evaluation.

What the speaker's baseline is at the n-th utterance depends on what he said before it, so a model is trained
with the baselines that real streams have: nothing yet, few or many utterances, of any mixture of emotions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS

from .clips import SpeechClip, by_speaker, stable_seed

STREAMS: Final[Mapping[str, tuple[float, ...]]] = {
    "balanced": (0.25, 0.25, 0.25, 0.25),
    "50 % neutral": (1 / 6, 1 / 6, 1 / 6, 0.5),
    "70 % neutral": (0.1, 0.1, 0.1, 0.7),
    "90 % neutral": (1 / 30, 1 / 30, 1 / 30, 0.9),
    "all neutral": (0.0, 0.0, 0.0, 1.0),
    "70 % angry": (0.7, 0.1, 0.1, 0.1),
    "70 % happy": (0.1, 0.7, 0.1, 0.1),
    "70 % sad": (0.1, 0.1, 0.7, 0.1),
}
"""Shares of LABELS in a simulated stream."""
STREAM_UTTERANCES: Final = 40
SCORED_FROM: Final = 6
"""The first utterance of a stream that is scored."""
_STREAMS_A_CORPUS: Final = 72
_COUNTS: Final = (3, 6, 10, 15, 20, 30, 40, 80)
_TRAINED: Final[Mapping[str, float]] = {
    "balanced": 0.3,
    "70 % neutral": 0.25,
    "90 % neutral": 0.15,
    "all neutral": 0.1,
    "70 % angry": 0.05,
    "70 % happy": 0.05,
    "70 % sad": 0.1,
}
"""How often training draws each kind of stream: most of what people say is neutral."""
_DIRICHLET_SHARE: Final = 0.15

Floats = npt.NDArray[np.float32]
KnownVoice = tuple[Floats, float]
"""A speaker's baseline (D,), and how much of it is his own."""


def draw_stream(
    rows: Mapping[int, Sequence[int]], shares: Sequence[float], count: int, rng: np.random.Generator
) -> list[int]:
    """`count` rows of one speaker. rows: label -> its rows. shares: of LABELS; labels he lacks are left out.

    No row comes twice before all rows of its label have come. A speaker without labels gives any of his rows.
    """
    labels = [label for label in range(len(LABELS)) if rows.get(label)] or list(rows)
    weights = np.array([shares[label] if label >= 0 else 1.0 for label in labels]) + 1e-9
    drawn = rng.choice(len(labels), size=count, p=weights / weights.sum())
    queues: dict[int, list[int]] = {label: [] for label in labels}
    stream = []
    for index in drawn.tolist():
        label = labels[index]
        if not queues[label]:
            queues[label] = rng.permutation(np.asarray(rows[label])).tolist()
        stream.append(queues[label].pop())
    return stream


def random_baseline(
    rows: Mapping[int, Sequence[int]],
    voices: Floats,
    prior_count: float,
    cold: float,
    rng: np.random.Generator,
) -> KnownVoice | None:
    """The baseline after a random stream of the speaker's; None with the probability `cold`.

    rows: of the speaker, by label. voices: (N, D) of all rows. prior_count: see BaselineSettings.
    """
    if rng.random() < cold:
        return None
    count = int(rng.choice(_COUNTS))
    if rng.random() < _DIRICHLET_SHARE:
        shares: Sequence[float] = rng.dirichlet(np.ones(len(LABELS))).tolist()
    else:
        shares = STREAMS[str(rng.choice(list(_TRAINED), p=list(_TRAINED.values())))]
    stream = draw_stream(rows, shares, count, rng)
    shift: Floats = (voices[stream].sum(0) / (count + prior_count)).astype(np.float32)
    return shift, count / (count + prior_count)


def simulated_streams(clips: Sequence[SpeechClip], corpus: str, name: str) -> list[list[int]]:
    """The streams of one kind in STREAMS, each the rows of one speaker, the same at every call."""
    speakers = {
        speaker: rows
        for speaker, rows in by_speaker(clips).items()
        if any(clips[part[0]].corpus == corpus for part in rows.values()) and set(rows) != {-1}
    }
    rng = np.random.default_rng(stable_seed("stream", corpus, name))
    repeats = max(1, _STREAMS_A_CORPUS // max(1, len(speakers)))
    return [
        draw_stream(rows, STREAMS[name], STREAM_UTTERANCES, rng)
        for _, rows in sorted(speakers.items())
        for _ in range(repeats)
    ]
