"""Binary cross entropy on pairs: are the two sides of one emotion?"""

from __future__ import annotations

from torch import Tensor, nn


def pair_bce(scores: Tensor, audio_labels: Tensor, text_labels: Tensor) -> Tensor:
    """-mean over pairs of one emotion of log sig(s), -mean over the other pairs of log(1 - sig(s)).

    scores: (Ba, Bt). The labels decide, never the position: a shuffled row has the same emotion in one case
    of four. A batch with only one kind of pair gives that kind's term; an empty one gives 0.
    """
    same = audio_labels[:, None] == text_labels[None, :]
    terms = [
        nn.functional.softplus(-scores[same]).mean() if bool(same.any()) else scores.sum() * 0.0,
        nn.functional.softplus(scores[~same]).mean() if bool((~same).any()) else scores.sum() * 0.0,
    ]
    return terms[0] + terms[1]
