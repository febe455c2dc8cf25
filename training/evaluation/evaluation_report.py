"""The tables and the confusion plot of an evaluation, for the command line and for model cards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .evaluate import AUDIO_ONLY, LABEL_MATCHED, MATCHED_TEXT_ONLY, OWN_TRANSCRIPT, Evaluation, EvaluationRow
from .plots import confusion_figure, write_png
from .text_conflict import HIGH_CONFIDENCE, LOW_CONFIDENCE


def evaluation_table(rows: Iterable[EvaluationRow]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| input | corpus | split | posterior | clips | UA | WA | macro-F1 | ECE | ECE if calibrated | NLL "
        "| Brier |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        m, r = row.metrics, row.reliability
        numbers = (m.ua, m.wa, m.macro_f1, r.calibration_error, r.ece_if_calibrated, m.nll, m.brier)
        cells = [
            row.input,
            row.corpus,
            row.split,
            row.posterior,
            str(m.count),
            *(f"{n:.3f}" for n in numbers),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def corruption_table(evaluation: Evaluation) -> str:
    """UA of audio only by corruption, as Markdown. Empty where robustness was not evaluated."""
    if not evaluation.corrupted:
        return ""
    corpora = list(dict.fromkeys(corpus for corpus, _ in evaluation.corrupted))
    lines = [f"| {AUDIO_ONLY} | " + " | ".join(corpora) + " |", "|---" * (len(corpora) + 1) + "|"]
    for corruption in dict.fromkeys(corruption for _, corruption in evaluation.corrupted):
        cells = [f"{evaluation.corrupted[corpus, corruption].ua:.3f}" for corpus in corpora]
        lines.append(f"| {corruption} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conflict_table(evaluation: Evaluation) -> str:
    """How often a text of another label changes the fused label, as Markdown. Empty where there were no
    texts.
    """
    if not evaluation.conflicts:
        return ""
    lines = [
        f"| another text changes the label | audio confidence < {LOW_CONFIDENCE:g} | > {HIGH_CONFIDENCE:g} |",
        "|---|---|---|",
    ]
    for corpus, found in evaluation.conflicts.items():
        cells = [
            "no such clip" if share is None else f"{100 * share:.1f} % of {count}"
            for share, count in (
                (found.low_confidence, found.low_confidence_pairs),
                (found.high_confidence, found.high_confidence_pairs),
            )
        ]
        lines.append(f"| {corpus} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gain_list(evaluation: Evaluation) -> str:
    """The gain of text on the same clips in points of UA, as Markdown. Empty where there were no texts."""
    lines = []
    for corpus in dict.fromkeys(row.corpus for row in evaluation.rows):
        audio = evaluation.row(AUDIO_ONLY, corpus, "audio")
        text = evaluation.row(MATCHED_TEXT_ONLY, corpus, "text")
        own = evaluation.row(OWN_TRANSCRIPT, corpus, "fused")
        matched = evaluation.row(LABEL_MATCHED, corpus, "fused")
        if audio and own and own.metrics.count == audio.metrics.count:
            gain = 100 * (own.metrics.ua - audio.metrics.ua)
            lines.append(f"- {corpus}, own transcripts: {gain:+.1f} points of UA over audio only")
        if audio and matched and text:
            gain = 100 * (matched.metrics.ua - max(audio.metrics.ua, text.metrics.ua))
            lines.append(
                f"- {corpus}, label-matched texts (**inflated**): {gain:+.1f} over the better single modality"
            )
    return "Audio and text, on the same clips:\n\n" + "\n".join(lines) if lines else ""


def write_confusions(evaluation: Evaluation, file: Path) -> None:
    """The confusion matrices of audio only, one panel per corpus."""
    panels = {
        row.corpus: np.array(row.metrics.confusion)
        for row in evaluation.rows
        if row.input == AUDIO_ONLY and row.posterior == "audio"
    }
    write_png(confusion_figure(panels, evaluation.labels, "Audio only"), file)
