"""Nested leave-one-corpus-out: what is chosen for a corpus is chosen on the others.

For each corpus left out, each of the remaining ones is left out as well in turn; the candidates are compared
on the predictions for those, and the one that is chosen is applied once to the corpus itself. The predictor
of errors is fitted on the same predictions. The checkpoint's values are chosen likewise, on the
predictions for each corpus of a model without it. See Varma and Simon 2006 (BMC Bioinformatics 7:91) on what
choosing on the test set is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emostream.models.baseline import BaselineSettings

from ..errors import SettingsError
from ..evaluation.metrics import unweighted_recall
from .choice import Choice, OffsetScore, StreamGain, choose_baseline, choose_offset
from .clips import EVALUATED, NEUTRAL, NOISE, ORDINARY, SpeechClip
from .folds import EvaluatedPredictions, RecipeContext
from .held_out import HeldOut
from .settings import ChoiceSettings
from .states import kept_for_figures
from .streams import STREAMS

_COMPARED_STREAMS: Final = 12
"""Of each kind and corpus, to compare candidates."""


@dataclass(frozen=True, slots=True)
class NestedFold:
    """One corpus left out. choice: made on the others. inner: predictions for the others, each by a model
    without it and without the corpus; outer: for the corpus, by the model without it. All are of the choice,
    cold and in all kinds of stream. Beside them are ordinary speech and noise: inner has the speakers and
    sounds that may be chosen on, outer the others.
    """

    corpus: str
    choice: Choice
    inner: Sequence[EvaluatedPredictions]
    outer: Sequence[EvaluatedPredictions]


@dataclass(frozen=True, slots=True)
class NestedResults:
    """folds: one for each corpus. choice: for the checkpoint; gains: what each candidate for the baseline
    gains there, by kind of stream. predictions: of that choice, for each corpus by the model without it, with
    the ordinary speech and noise that may be chosen on.
    """

    folds: Sequence[NestedFold]
    choice: Choice
    gains: Mapping[BaselineSettings, Mapping[str, StreamGain]]
    predictions: Sequence[EvaluatedPredictions]


@dataclass(frozen=True, slots=True)
class _Fold:
    """A model without some corpora, on one of them. calm: ordinary speech and noise, for choosing, for
    figures.
    """

    corpus: HeldOut
    calm: tuple[Sequence[HeldOut], Sequence[HeldOut]]

    def predictions(self, choice: Choice, *, figures: bool) -> list[EvaluatedPredictions]:
        """figures: all streams, and the ordinary speech and noise that nothing is chosen on."""
        most = None if figures else _COMPARED_STREAMS
        streams = [self.corpus.stream(kind, choice, most) for kind in STREAMS]
        calm = [held_out.cold(choice.neutral_offset) for held_out in self.calm[figures]]
        return [self.corpus.cold(choice.neutral_offset), *streams, *calm]


Judge = Callable[[Sequence[SpeechClip]], HeldOut]
"""Clips of one corpus behind a model."""
FitWithout = Callable[[Collection[str]], Judge]
"""A model that was not trained on these corpora."""


def nested_leave_one_out(context: RecipeContext, fit: FitWithout) -> NestedResults:
    """Calls `fit` without each corpus and without every two. Raises SettingsError for fewer than three."""
    corpora = [name for name in EVALUATED if any(clip.corpus == name for clip in context.clips)]
    if len(corpora) < 3:
        raise SettingsError(
            f"expected three or more of {', '.join(EVALUATED)}, as one is left out and another to choose on, "
            f"got {', '.join(corpora) or 'none'}: check --data"
        )
    outer = [_fold(context, fit, name, ()) for name in corpora]
    folds = []
    for name, fold in zip(corpora, outer, strict=True):
        inner = [_fold(context, fit, other, (name,)) for other in corpora if other != name]
        choice, _ = _choose(context.settings.choice, inner)
        context.log.line(f"chosen without {name}: {choice}")
        predictions = [part for one in inner for part in one.predictions(choice, figures=False)]
        folds.append(NestedFold(name, choice, predictions, fold.predictions(choice, figures=True)))
    choice, gains = _choose(context.settings.choice, outer)
    context.log.line(f"chosen for the checkpoint: {choice}")
    predictions = [part for fold in outer for part in fold.predictions(choice, figures=False)]
    return NestedResults(folds, choice, gains, predictions)


def _fold(context: RecipeContext, fit: FitWithout, corpus: str, also_without: Sequence[str]) -> _Fold:
    held_out = fit((corpus, *also_without))
    calm = [clip for clip in context.clips if clip.corpus == NOISE]
    calm += [clip for clip in context.clips if clip.corpus == ORDINARY and clip.split == "dev"]
    parts = [
        [clip for clip in calm if clip.corpus == name and kept_for_figures(clip) == figures]
        for figures in (False, True)
        for name in (ORDINARY, NOISE)
    ]
    halves = [[held_out(part) for part in pair if part] for pair in (parts[:2], parts[2:])]
    own = [clip for clip in context.clips if clip.corpus == corpus and clip.label >= 0]
    return _Fold(held_out(own), (halves[0], halves[1]))


def _choose(
    candidates: ChoiceSettings, folds: Sequence[_Fold]
) -> tuple[Choice, Mapping[BaselineSettings, Mapping[str, StreamGain]]]:
    offset = choose_offset({value: _offset_score(folds, value) for value in candidates.neutral_offsets})
    gains = {
        settings: {kind: _gain(folds, kind, Choice(offset, settings)) for kind in STREAMS}
        for settings in candidates.baseline_settings()
    }
    return Choice(offset, choose_baseline(gains)), gains


def _offset_score(folds: Sequence[_Fold], offset: float) -> OffsetScore:
    corpora = [fold.corpus.cold(offset) for fold in folds]
    called: dict[str, list[bool]] = {}
    for part in (part for fold in folds for part in fold.calm[0] if part.corpus == ORDINARY):
        evaluated = part.cold(offset)
        for clip, label in zip(evaluated.clips, evaluated.predicted.tolist(), strict=True):
            called.setdefault(clip.speaker, []).append(label == NEUTRAL)
    shares = [float(np.mean(of_speaker)) for of_speaker in called.values()]
    return OffsetScore(
        float(np.mean([unweighted_recall(part.truth.tolist(), part.predicted.tolist()) for part in corpora])),
        float(np.mean(shares)) if shares else 1.0,
        float(np.std(shares, ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0,
    )


def _gain(folds: Sequence[_Fold], kind: str, choice: Choice) -> StreamGain:
    ua, accuracy = [], []
    for fold in folds:
        part = fold.corpus.stream(kind, choice, _COMPARED_STREAMS)
        truth, predicted, cold = part.truth, part.predicted, part.cold.argmax(1)
        with_ua, without = (unweighted_recall(truth.tolist(), p.tolist()) for p in (predicted, cold))
        ua.append(with_ua - without)
        accuracy.append(float((predicted == truth).mean() - (cold == truth).mean()))
    return StreamGain(float(np.mean(ua)), float(np.mean(accuracy)))
