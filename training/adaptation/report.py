"""What an adaptation gave: on the terminal, and as the new checkpoint's card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..evaluation.bootstrap import Estimate
from ..experiments.environment import commit
from ..model_card_file import write_model_card

_TAGS: Final = ("speech-emotion-recognition", "adapted")
_BODY: Final = """# An adapted model

Made from {init} by `python -m emostream.training fit --init`: everything behind its frozen encoders was
fine-tuned on {clips} clips. For `emostream live --checkpoint FOLDER` and the other commands of emostream.

{text}

{licence}Its data and its limits are those of {init}, and these clips are few: expect other
results for other people and microphones. Code: {commit}.
"""


@dataclass(frozen=True, slots=True)
class AdaptationRow:
    """ua, wa: of each clip alone. known: UA with the speaker's baseline, None where there is none of it."""

    name: str
    ua: Estimate
    wa: Estimate
    known: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationReport:
    """speakers: 0 where unknown. left_out: clips of other labels. missing: labels that no clip had. words:
    clips with words. strength: of the pull towards the weights before. temperatures: before and after.
    """

    init: str
    rows: tuple[AdaptationRow, ...]
    clips: int
    left_out: int
    speakers: int
    labels: tuple[str, ...]
    missing: tuple[str, ...]
    words: int
    strength: float
    temperatures: tuple[float, float]
    predicts_errors: bool

    def text(self) -> str:
        """Markdown."""
        return f"{self._clips()}\n\n{self._table()}\n\n{self._what_was_done()}"

    def _clips(self) -> str:
        speakers = f"{self.speakers} speakers" if self.speakers else "speakers unknown"
        parts = [f"{self.clips} clips, {speakers}, {self.words} with words"]
        if self.left_out:
            parts.append(f"{self.left_out} of other labels left out")
        if self.missing:
            parts.append(f"none of {', '.join(self.missing)}, which stays as it was")
        return "; ".join(parts) + "."

    def _table(self) -> str:
        by_speaker = self.speakers > 1
        tested = "clips of speakers not trained on" if by_speaker else "clips not trained on"
        with_voices = any(row.known is not None for row in self.rows)
        lines = [
            f"| on {tested} | UA | WA |{' UA, the voice known |' if with_voices else ''}",
            f"|---|---|---|{'---|' if with_voices else ''}",
        ]
        for row in self.rows:
            known = "" if row.known is None else _percent(row.known)
            cells = [row.name, _percent(row.ua), _percent(row.wa), *([known] if with_voices else [])]
            lines.append(f"| {' | '.join(cells)} |")
        chance = 100 / (len(self.labels) - len(self.missing))
        units = self.rows[0].ua.unit_kind
        note = f"\n\nUA: mean recall, chance {chance:.0f}; 95 % intervals by resampling {units}."
        if not by_speaker:
            note += " The folds divide clips, not speakers: for other voices the figures are too good."
        return "\n".join(lines) + note

    def _what_was_done(self) -> str:
        if math.isinf(self.strength):
            done = (
                "The weights stay as they were: no change was better on held-out clips by more than chance."
            )
        else:
            done = f"Pull towards the weights before (L2-SP): {self.strength:g}, chosen on held-out clips."
        before, after = self.temperatures
        done += f" Calibrated on held-out clips: temperature {before:.2f} before, {after:.2f} now."
        kept = ["the weights of late fusion", "the text-only head"]
        kept += ["the predictor of errors"] if self.predicts_errors else []
        return f"{done} What stays as it was: {', '.join(kept)}."


def write_adapted_card(folder: Path, report: AdaptationReport, *, licensed: bool) -> None:
    """README.md of the folder. licensed: a LICENSE.md is in it."""
    body = _BODY.format(
        init=report.init,
        clips=report.clips,
        text=report.text(),
        licence="The weights are under the terms in LICENSE.md. " if licensed else "",
        commit=commit(),
    )
    write_model_card(folder, body, _TAGS)


def _percent(estimate: Estimate) -> str:
    low, high = 100 * estimate.interval.low, 100 * estimate.interval.high
    return f"{100 * estimate.value:.1f} ({low:.1f} to {high:.1f})"
