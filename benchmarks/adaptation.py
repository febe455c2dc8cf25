"""What adapting a checkpoint to forty clips gives on other speakers of the same corpus.

    python -m benchmarks.adaptation models/bundled ../shared/data/banglaser
    python -m benchmarks.adaptation models/bundled_whisper ../shared/data/manifest.csv --split test

In every draw a third of the speakers give the clips, ten of each label, and all others are tested. The
strength of the pull is chosen on the forty clips alone, as `fit --init` does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from emostream.models.checkpoint import load_checkpoint
from emostream.training.adaptation.clips import FrozenClip, freeze_clips
from emostream.training.adaptation.fine_tuning import FineTuning
from emostream.training.adaptation.selection import FOLDS, STRENGTHS, choose_strength, held_out_by_strength
from emostream.training.corpora.places import read_places
from emostream.training.evaluation.metrics import unweighted_recall

_EACH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("--corpus", default="")
    parser.add_argument("--split", default="")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("run"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(chosen.checkpoint)
    names = list(checkpoint.model.config.label_names)
    examples = [
        example
        for example in read_places([chosen.place])
        if example.emotion in names
        and chosen.corpus in ("", example.corpus)
        and chosen.split in ("", example.split)
    ]
    labels = [names.index(example.emotion) for example in examples]
    clips = freeze_clips(checkpoint, examples, labels, None, chosen.work / "cache", lambda *_: None)
    clips = [_without_words(clip) for clip in clips]
    tuning = FineTuning(checkpoint.model, with_words=False)
    gains = [_draw(tuning, clips, number) for number in range(chosen.draws)]
    for place, what in enumerate(("alone", "voice known")):
        before, after = (np.array([gain[place][side] for gain in gains]) for side in (0, 1))
        spread = np.std(after - before, ddof=1)
        print(
            f"{what}: UA {before.mean():.3f} as it was, {after.mean():.3f} adapted; "
            f"{(after - before).mean():+.3f} (deviation over {len(gains)} draws {spread:.3f})"
        )


def _draw(
    tuning: FineTuning, clips: Sequence[FrozenClip], number: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(UA before, UA after), each clip alone and with the speaker's baseline."""
    rng = np.random.default_rng(number)
    speakers = sorted({clip.example.speaker for clip in clips})
    order = [speakers[place] for place in rng.permutation(len(speakers))]
    giving = set(order[: max(1, len(speakers) // 3)])
    of_label: dict[int, list[FrozenClip]] = {}
    for place in rng.permutation(len(clips)).tolist():
        if clips[place].example.speaker in giving:
            of_label.setdefault(clips[place].label, []).append(clips[place])
    train = [clip for part in of_label.values() for clip in part[:_EACH]]
    test = [clip for clip in clips if clip.example.speaker not in giving]
    truth = [clip.label for clip in test]
    strength = choose_strength(held_out_by_strength(tuning, train, FOLDS), [clip.label for clip in train])
    weights = tuning.fit(train, STRENGTHS[: STRENGTHS.index(strength) + 1])[-1]
    before, after = tuning.decide(test, tuning.start), tuning.decide(test, weights)
    pairs = [
        tuple(unweighted_recall(truth, logits.argmax(1).tolist()) for logits in both)
        for both in ((before.alone, after.alone), (before.known, after.known))
    ]
    pull = "unchanged" if math.isinf(strength) else f"{strength:g}"
    of = f"{len(train)} clips of {len(giving)} speakers, {len(test)} tested"
    print(f"draw {number}: {of}, pull {pull}: {pairs}")
    return (pairs[0][0], pairs[0][1]), (pairs[1][0], pairs[1][1])


def _without_words(clip: FrozenClip) -> FrozenClip:
    return FrozenClip(clip.example, clip.label, clip.frames, clip.tokens[:0], clip.alignment, clip.baseline)


if __name__ == "__main__":
    main()
