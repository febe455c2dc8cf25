"""The parts of a report as lines of Markdown. Metrics are shares and are printed in percent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import numpy as np

from ..evaluation.aggregate import MeanStd, RowSummary, class_recalls, mean_std, to_fit_results
from ..evaluation.bootstrap import Estimate
from ..evaluation.metrics import ClassificationMetrics, MetricName
from ..evaluation.predictions import FoldPredictions
from ..evaluation.reliability import reliability_stats
from .environment import RunMetadata
from .reference_results import MissingCorpus, ReferenceResult
from .table_rows import Group, parse_row

INFLATED: Final = """> **Inflated figures.** The texts are label-matched pairs: each clip is read with an
> unrelated text of the same label, so the text reveals the label, and every accuracy below is inflated.
> This table checks the code. It is no evidence about the papers, nor about speech with its own
transcripts."""

_CALIBRATION_LEGEND: Final = """In percent. Temperatures and late weights are fitted on the validation
examples. *validation*: what is left on them where each half of their speakers is calibrated on the other
half, so in the domain of the fit; mean over the fits. *left out*: pooled over the test folds, of speakers, or
with `--protocol corpus` of corpora, that neither training nor calibration has seen; *by chance*: what a
perfectly calibrated model would show on as many utterances."""
LEAKING: Final = """> **Leaks speakers.** Every fifth utterance is tested: all test speakers, and the
> dialogues in which they speak, are trained on as well. These figures say nothing about unknown speakers and
> stand here to be compared with published ones of the same split."""

_GROUP_TITLES: Final[dict[Group, str]] = {
    "baseline": "baseline",
    "contrastive": "contrastive regularization",
    "fusion": "fusion",
    "granularity": "granularities of early fusion",
    "modality": "single modality",
    "transcripts": "other words than the baseline's",
    "encoders": "training of the encoders",
    "other": "other",
}
_LEGEND: Final = """WA is accuracy, UA the mean recall per class, in percent: mean ± sample deviation over the
fits, one for every fold and seed. Pooled: all folds of a seed as one test set, ± over the seeds. ECE is the
gap between confidence and accuracy over 10 bins of equal mass, for which a single fold has too few
utterances; `fits.csv` has it for every fit, and that of equal width."""
_GAIN_LEGEND: Final = """Points of a percent, pooled over the folds, mean over {seeds}, with a 95 % bootstrap
interval over {unit_count} {unit_kind}: the same folds, seeds and draws for both rows. The interval covers
the variation over {unit_kind}, not over seeds. There is no correction for the number of intervals: without
any effect one in twenty would still exclude 0. So quote the rows that validation chose, not the best row."""
_SESSION_LEGEND: Final = """People who talk to each other share their dialogues, so the last column resamples
the {unit_count} sessions instead: the same gain, and an interval of so few units is wide."""


@dataclass(frozen=True, slots=True)
class GainRow:
    """How much better `row` is than `against`, by metric: wa, ua, macro_f1; by_session: UA resampled over
    sessions, empty where there are none.
    """

    row: str
    against: str
    gains: Mapping[MetricName, Estimate]
    by_session: Mapping[MetricName, Estimate] = field(default_factory=dict)


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[str] = ()) -> list[str]:
    """A table. text: the text columns besides the first; the others are numbers, aligned to the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    rules = ["---" if name in (header[0], *text) else "---:" for name in header]
    return [lines[0], "|" + "|".join(rules) + "|", *lines[1:]]


def percent(values: MeanStd) -> str:
    mean = f"{100 * values.mean:.1f}"
    return mean if values.std is None else f"{mean} ± {100 * values.std:.1f}"


def points(gain: Estimate) -> str:
    """`+0.42 [-0.31, +1.20]`, in points of a percent."""
    low, high = 100 * gain.interval.low, 100 * gain.interval.high
    return f"{100 * gain.value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "\N{MINUS SIGN}")


def head(title: str, about: RunMetadata, results: Sequence[FoldPredictions]) -> list[str]:
    keys = {key for result in results for key in result.keys}
    speakers = {speaker for result in results for speaker in result.speakers if speaker}
    folds = {result.fold for result in results}
    seeds = sorted({result.seed for result in results})
    minutes = sum(result.seconds for result in results) / 60
    facts = {
        "command": f"`{about.command}`",
        "corpus": f"{about.corpus}: {len(keys):,} test utterances, {len(speakers)} speakers",
        "classes": ", ".join(results[0].labels),
        "protocol": f"{about.protocol}; {_counted(len(folds), 'fold')}",
        "seeds": ", ".join(map(str, seeds)),
        "validation": about.validation,
        "fits": f"{len(results)}, {_counted(round(minutes), 'minute')} of training",
        "machine": f"{about.machine}; {about.device}",
        "commit": about.commit,
        "date": about.date,
    }
    lines = [f"# {title}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    return [*lines, "", *(f"- {note}" for note in about.notes), *([""] if about.notes else [])]


def main_table(summaries: Sequence[RowSummary], warnings: Sequence[str]) -> list[str]:
    """One line per row under the name of its group; a single group needs no name. warnings: stand above."""
    header = ("row", "WA", "UA", "macro-F1", "pooled WA", "pooled UA", "pooled ECE", "fits")
    groups = [
        (group, list(part))
        for group, part in groupby(summaries, lambda summary: parse_row(summary.row).group)
    ]
    lines: list[list[str]] = []
    for group, part in groups:
        if len(groups) > 1:
            lines.append([f"**{_GROUP_TITLES[group]}**", *[""] * (len(header) - 1)])
        for summary in part:
            values = (
                summary.wa,
                summary.ua,
                summary.macro_f1,
                summary.pooled_wa,
                summary.pooled_ua,
                summary.pooled_ece,
            )
            lines.append([summary.row, *map(percent, values), str(summary.fits)])
    return ["## Results", "", _LEGEND, "", *spaced(warnings), *grid(header, lines), ""]


def spaced(paragraphs: Sequence[str]) -> list[str]:
    """Each followed by an empty line."""
    return [line for paragraph in paragraphs for line in (paragraph, "")]


def choices(chosen: Mapping[str, Sequence[FoldPredictions]]) -> list[str]:
    """Which rows validation chose."""
    lines = []
    for name, results in chosen.items():
        counts = Counter(result.row for result in results).most_common()
        lines.append(
            f"- *{name}* chose " + ", ".join(f"{row} in {_counted(n, 'fit')}" for row, n in counts) + "."
        )
    return [*lines, ""] if lines else []


def gain_table(lines: Sequence[GainRow], warnings: Sequence[str]) -> list[str]:
    if not lines:
        return []
    first = lines[0].gains["wa"]
    legend = _GAIN_LEGEND.format(
        seeds=_counted(len(first.per_seed), "seed"), unit_count=first.unit_count, unit_kind=first.unit_kind
    )
    shown: tuple[MetricName, ...] = ("wa", "ua", "macro_f1")
    rows = [[line.row, line.against, *(points(line.gains[metric]) for metric in shown)] for line in lines]
    header = ["row", "over", "WA", "UA", "macro-F1"]
    if sessions := lines[0].by_session.get("ua"):
        legend += "\n" + _SESSION_LEGEND.format(unit_count=sessions.unit_count)
        header.append("UA, by session")
        for row, line in zip(rows, lines, strict=True):
            row.append(points(line.by_session["ua"]))
    return ["## Paired gains", "", legend, "", *spaced(warnings), *grid(header, rows, text=["over"]), ""]


def fold_table(row: str, results: Sequence[FoldPredictions], warnings: Sequence[str]) -> list[str]:
    """Each test fold of one row, ± over the seeds."""
    lines = []
    for fold in sorted({result.fold for result in results}, key=_natural_order):
        of_fold = [result for result in results if result.fold == fold]
        per_fit: list[ClassificationMetrics] = [fit.metrics for fit in to_fit_results(of_fold)]
        columns = zip(*((metrics.wa, metrics.ua, metrics.macro_f1) for metrics in per_fit), strict=True)
        cells = [percent(mean_std(values)) for values in columns]
        validation = percent(mean_std([result.validation_ua for result in of_fold]))
        lines.append([fold, str(len(of_fold[0].keys)), *cells, validation])
    header = ("test fold", "utterances", "WA", "UA", "macro-F1", "validation UA")
    return [f"## Folds: {row}", "", *spaced(warnings), *grid(header, lines), ""]


def recall_table(rows: Mapping[str, Sequence[FoldPredictions]], warnings: Sequence[str]) -> list[str]:
    """Recall of each class in percent, all folds of a seed together, ± over the seeds."""
    labels = next(iter(rows.values()))[0].labels
    lines = []
    for row, results in rows.items():
        recalls = class_recalls(results)
        cells = ["" if np.isnan(recall).any() else percent(mean_std(recall.tolist())) for recall in recalls]
        lines.append([row, *cells])
    return ["## Recall per class", "", *spaced(warnings), *grid(("row", *labels), lines), ""]


def calibration_table(rows: Mapping[str, Sequence[FoldPredictions]], warnings: Sequence[str]) -> list[str]:
    """In the domain of the calibration, and on what was left out; empty where the first was not measured."""
    lines = []
    for row, results in rows.items():
        inside = [result.validation_ece for result in results if result.validation_ece is not None]
        if not inside:
            continue
        of_seeds = [
            reliability_stats(
                np.concatenate([result.truth for result in of_seed]),
                np.concatenate([result.probabilities for result in of_seed]),
            )
            for of_seed in _by_seed(results)
        ]
        errors = [stats.calibration_error for stats in of_seeds]
        by_chance = [stats.ece_if_calibrated for stats in of_seeds]
        lines.append([row, *(percent(mean_std(values)) for values in (inside, errors, by_chance))])
    if not lines:
        return []
    header = ("row", "validation", "left out", "left out, by chance")
    return ["## Calibration error", "", _CALIBRATION_LEGEND, "", *spaced(warnings), *grid(header, lines), ""]


def _by_seed(results: Sequence[FoldPredictions]) -> list[list[FoldPredictions]]:
    seeds = sorted({result.seed for result in results})
    return [[result for result in results if result.seed == seed] for seed in seeds]


def published_table(results: Sequence[ReferenceResult]) -> list[str]:
    if not results:
        return []
    rows = [
        [
            result.system,
            _percent_or_points(result, result.wa),
            _percent_or_points(result, result.ua),
            result.source,
        ]
        for result in results
    ]
    return ["## Published results", "", *grid(("system", "WA", "UA", "source"), rows, text=["source"]), ""]


def missing_corpus_table(corpus: MissingCorpus) -> list[str]:
    rows = [
        [
            result.system,
            _percent_or_points(result, result.wa),
            _percent_or_points(result, result.ua),
            "not run",
            result.source,
        ]
        for result in corpus.results
    ]
    header = ("system", "published WA", "published UA", "here", "source")
    table = grid(header, rows, text=["here", "source"])
    command = f"With a licence for the corpus, run it with\n\n    {corpus.command}"
    return [f"## Not run: {corpus.corpus}", "", *table, "", command, ""]


def _percent_or_points(result: ReferenceResult, value: float | None) -> str:
    if value is None:
        return "not stated"
    if result.gain:
        return f"{value:+g} points"
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _natural_order(fold: str) -> tuple[int, str]:
    """Fold 10 after fold 9."""
    digits = "".join(filter(str.isdigit, fold))
    return int(digits or 0), fold
