"""One corpus in folds of its speakers: new people, in a room and with sentences that were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import SettingsError
from .choice import Choice
from .clips import NOISE, SpeechClip
from .folds import EvaluatedPredictions, RecipeContext, fit_head
from .held_out import HeldOut
from .unseen import UnseenRow, evaluated_row, write_rows

_STREAM: Final = "balanced"
_POOLED: Final = "all"


@dataclass(frozen=True, slots=True)
class SpeakerFold:
    """One division of all clips but noises; no speaker is in two parts. name: of the group left out."""

    name: str
    train: Sequence[SpeechClip]
    validation: Sequence[SpeechClip]
    test: Sequence[SpeechClip]


@dataclass(frozen=True, slots=True)
class SpeakerFoldsReport:
    """rows: by fold and condition (cold, or a kind of stream), then of all folds together."""

    corpus: str
    rows: Sequence[tuple[str, UnseenRow]]

    def table(self) -> str:
        """Markdown."""
        lines = [
            "| left out (speakers) | condition | utterances | UA (95 %, speakers) | accuracy | "
            "neutral called neutral | ECE |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {fold} ({row.speakers}) | {row.condition} | {row.utterances} | {row.ua:.3f} "
            f"({row.interval[0]:.3f} to {row.interval[1]:.3f}) | {row.accuracy:.3f} | {row.neutral:.3f} | "
            f"{row.ece:.3f} |"
            for fold, row in self.rows
        ]
        return "\n".join(lines)

    def write(self, folder: Path) -> Path:
        """table.md and speakers.csv; the path of the former."""
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(
            folder / "speakers.csv", [row for _, row in self.rows], fold=[fold for fold, _ in self.rows]
        )
        path = folder / "table.md"
        path.write_text(f"# {self.corpus} in folds of its speakers\n\n{self.table()}\n", encoding="utf-8")
        return path


def leave_speakers_out(context: RecipeContext, corpus: str, choice: Choice) -> SpeakerFoldsReport:
    """Fits a head without each fold's speakers and judges them. choice: made without the corpus.

    Raises SettingsError where the corpus has no folds of its own.
    """
    predictions: list[tuple[str, EvaluatedPredictions]] = []
    for fold in speaker_folds(context.clips, corpus):
        model = fit_head(context, f"speakers-{corpus}-{fold.name}", fold.train, fold.validation)
        held_out = HeldOut.behind(model, fold.test, context.views)
        predictions.append((fold.name, held_out.cold(choice.neutral_offset)))
        predictions.append((fold.name, held_out.stream(_STREAM, choice)))
        context.log.line(f"{corpus}, fold {fold.name}: UA {evaluated_row(predictions[-2][1]).ua:.3f}")
    conditions = dict.fromkeys(part.condition for _, part in predictions)
    pooled = [
        EvaluatedPredictions.joined([part for _, part in predictions if part.condition == condition])
        for condition in conditions
    ]
    rows = [(name, evaluated_row(part)) for name, part in predictions]
    return SpeakerFoldsReport(corpus, [*rows, *((_POOLED, evaluated_row(part)) for part in pooled)])


def speaker_folds(clips: Sequence[SpeechClip], corpus: str) -> list[SpeakerFold]:
    """One fold for each of the corpus's own groups of speakers.

    Trained on its other groups and on the training speakers of the other corpora, calibrated on the
    validation speakers of those.
    """
    own = [clip for clip in clips if clip.corpus == corpus and clip.label >= 0]
    others = [clip for clip in clips if clip.corpus not in (corpus, NOISE)]
    groups = sorted({clip.example.group for clip in own})
    if len(groups) < 2:
        raise SettingsError(
            f"expected a corpus with folds of its own, got {corpus} with {len(groups)}: use ravdess"
        )
    train, validation = ([clip for clip in others if clip.split == split] for split in ("train", "dev"))
    return [
        SpeakerFold(
            group,
            [*train, *(clip for clip in own if clip.example.group != group)],
            validation,
            [clip for clip in own if clip.example.group == group],
        )
        for group in groups
    ]
