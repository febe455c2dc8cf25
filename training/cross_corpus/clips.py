"""The clips of all corpora as this recipe trains on them: targets, sessions and weights.

Ordinary speech has no label of emotion and counts as mostly neutral; CREMA-D's listeners give shares; the
noises of `noise` hold no speech and are for the error predictor alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS, SAMPLE_RATE_HZ, Samples

from ..corpora.collection import VOTES_FILE, read_collection, read_votes, vote_shares
from ..corpora.example import OTHER, Example
from ..data.audio_cache import read_clip, trim

EVALUATED: Final = ("crema_d", "ravdess", "nemo", "banglaser")
"""The corpora that have all four labels: each is left out in turn."""
ORDINARY: Final = "librispeech"
NOISE: Final = "noise"
NEUTRAL: Final = LABELS.index("neutral")
_ORDINARY_TARGET: Final = (0.05, 0.05, 0.05, 0.85)
_LONGEST_S: Final = 8.0
_NOISE_S: Final = 3.0
_PIECES: Final = 2
_PIECE_S: Final = (1.5, 5.0)


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """One clip, or a piece of a long one.

    key: unique; that of its example, with `#0`, `#1`, ... for the pieces of one. label: index into LABELS, -1
    for ordinary speech and noise. target: (C,) shares to be learned; all zero: nothing. piece: the number of
    the piece, None for the whole clip.
    """

    key: str
    example: Example
    label: int
    target: tuple[float, ...]
    piece: int | None = None

    @property
    def corpus(self) -> str:
        return self.example.corpus

    @property
    def speaker(self) -> str:
        return self.example.speaker

    @property
    def split(self) -> str:
        return self.example.split

    def samples(self) -> Samples:
        """(N,) the decoded clip, its silent edges trimmed as a segmenter does; the first seconds of noise."""
        samples = read_clip(self.example.audio_path)
        if self.corpus == NOISE:
            return samples[: int(_NOISE_S * SAMPLE_RATE_HZ)]
        return trim(samples if self.piece is None else _piece(samples, self.example.key, self.piece))


def load_clips(data: Path, *, votes: float = 0.0) -> list[SpeechClip]:
    """All clips of the four labels, of ordinary speech in pieces, and noises. Other emotions are left out.

    votes: 0 to 1, how far listeners' shares replace the acted label where there are any. Raises CorpusError.
    """
    shares: dict[str, tuple[float, ...]] = {}
    if votes:
        for file in sorted(data.glob(f"*/{VOTES_FILE}")):
            counted = {clip: vote_shares(counts) for clip, counts in read_votes(file).items()}
            shares |= {clip: share for clip, share in counted.items() if share is not None}
    clips: list[SpeechClip] = []
    for example in read_collection(data):
        if example.corpus == ORDINARY:
            clips += [
                SpeechClip(f"{example.key}#{piece}", example, -1, _ORDINARY_TARGET, piece)
                for piece in range(_PIECES + 1)
            ]
        elif example.corpus == NOISE:
            clips.append(SpeechClip(example.key, example, -1, (0.0,) * len(LABELS)))
        elif example.emotion != OTHER:
            label = LABELS.index(example.emotion)
            acted = np.eye(len(LABELS))[label]
            perceived = np.array(shares.get(example.audio_path.stem, acted))
            target = tuple(float(x) for x in (1 - votes) * acted + votes * perceived)
            clips.append(SpeechClip(example.key, example, label, target))
    return clips


def balanced_weights(
    clips: Sequence[SpeechClip], ordinary: float, cap: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(N,) weights that sum to 1: every corpus as much as every other, and in it every label.

    ordinary: the share of ordinary speech of the whole. cap: clips of one speaker that count, drawn at
    random.
    """
    weights = np.zeros(len(clips))
    cells: dict[tuple[str, int], list[int]] = {}
    taken: dict[str, int] = {}
    for row in rng.permutation(len(clips)).tolist():
        clip = clips[row]
        taken[clip.speaker] = taken.get(clip.speaker, 0) + 1
        if taken[clip.speaker] <= cap:
            cells.setdefault((clip.corpus, clip.label), []).append(row)
    acted = {corpus for corpus, label in cells if label >= 0}
    for (corpus, label), rows in cells.items():
        if label < 0:
            weights[rows] = ordinary / len(rows)
        else:
            labels = sum(name == corpus for name, _ in cells)
            weights[rows] = (1.0 - ordinary) / len(acted) / labels / len(rows)
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def by_speaker(clips: Sequence[SpeechClip]) -> Mapping[str, dict[int, list[int]]]:
    """Speaker -> label -> rows."""
    rows: dict[str, dict[int, list[int]]] = {}
    for row, clip in enumerate(clips):
        rows.setdefault(clip.speaker, {}).setdefault(clip.label, []).append(row)
    return rows


def stable_seed(*parts: object) -> int:
    """The same number for the same parts in every run and on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def _piece(samples: Samples, key: str, piece: int) -> Samples:
    """0: the first seconds; others: random cuts, as long as utterances are."""
    if piece == 0:
        return samples[: int(_LONGEST_S * SAMPLE_RATE_HZ)]
    rng = np.random.default_rng(stable_seed(key))
    for _ in range(piece):
        length = int(rng.uniform(*_PIECE_S) * SAMPLE_RATE_HZ)
        start = int(rng.integers(0, max(1, len(samples) - length)))
    return samples[start : start + length]
