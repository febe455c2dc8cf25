"""Writes the report of a table: `table.md` with its plots, and every value of it as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from ..evaluation.aggregate import pooled, summarise, to_fit_results
from ..evaluation.bootstrap import Estimate, paired_gain, paired_gain_by_session
from ..evaluation.metrics import MetricName
from ..evaluation.plots import alpha_figure, confusion_figure, reliability_figure, write_png
from ..evaluation.predictions import FoldPredictions
from ..evaluation.tsne import MIN_POINTS, tsne_figure
from .claims import claim_table
from .csv_tables import write_tables
from .environment import RunMetadata
from .markdown import (
    INFLATED,
    LEAKING,
    GainRow,
    calibration_table,
    choices,
    fold_table,
    gain_table,
    head,
    main_table,
    missing_corpus_table,
    published_table,
    recall_table,
)
from .protocols import LEAKS
from .reference_results import MissingCorpus, reference_results_for
from .table_rows import (
    ANY_BY_VALIDATION,
    BASELINE,
    BY_VALIDATION,
    CONCAT,
    CONCAT_CONTINUED,
    CONTINUED,
    chosen_by_validation,
    in_table_order,
    paper_comparisons,
    parse_row,
)

_GAIN_METRICS: Final[tuple[MetricName, ...]] = ("wa", "ua", "macro_f1")
_FILES: Final = """## Files

`table.csv` has one line per row of the table, `fits.csv` one line per fit, `predictions.csv` one line per
utterance of a fit{gains}. Values in them are shares, not percent."""
_GAINS_FILE: Final = ", `gains.csv` one line per gain"


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written. file: table.md."""

    file: Path
    gains: list[GainRow]


def write_report(
    folder: Path,
    title: str,
    results: Sequence[FoldPredictions],
    *,
    about: RunMetadata,
    comparisons: Sequence[tuple[str, str]] | None = None,
    inflated: bool = False,
    missing_corpora: Sequence[MissingCorpus] = (),
) -> Report:
    """Writes table.md, table.csv, fits.csv, predictions.csv, plots, and gains.csv where there are gains.

    comparisons: (row, the row to compare it with); the papers' where None. Rows that validation chooses from
    the contrastive rows are added, and may be compared. inflated: the texts are label-matched pairs. Raises
    ValueError without results, and where compared rows have other utterances.
    """
    if not results:
        raise ValueError(f"{title}: expected results of fits to report on, got none")
    chosen = chosen_by_validation(results)
    rows = _rows([*results, *(replace(result, row=name) for name in chosen for result in chosen[name])])
    summaries = summarise(to_fit_results([result for part in rows.values() for result in part]))
    pairs = paper_comparisons(rows) if comparisons is None else comparisons
    gains = [_gain_row(row, against, rows) for row, against in pairs]
    shown = {name: rows[name] for name in _rows_to_plot(rows)}
    main = next(iter(shown))
    folder.mkdir(parents=True, exist_ok=True)
    mark = f" ({LEAKS})" if about.leaks else ""
    plots = _write_plots(folder, shown, gains, mark)
    order = in_table_order(result.row for result in results)
    fits = sorted(results, key=lambda result: (order.index(result.row), result.fold, result.seed))
    write_tables(folder, fits, summaries, gains, LEAKS if about.leaks else "")
    warnings = [*([INFLATED] if inflated else []), *([LEAKING] if about.leaks else [])]
    lines = [
        *head(f"{title}{mark}", about, results),
        *main_table(summaries, warnings),
        *choices(chosen),
        *(claim_table({about.protocol_name: gains}, warnings) if comparisons is None else []),
        *gain_table(gains, warnings),
        *fold_table(main, rows[main], warnings[1:] if inflated else warnings),
        *recall_table(shown, warnings[1:] if inflated else warnings),
        *calibration_table(shown, warnings),
        *(line for name, plot in plots.items() for line in (f"![{name}{mark}]({plot})", "")),
        *published_table(reference_results_for(about.corpus, results[0].labels)),
        *(line for corpus in missing_corpora for line in missing_corpus_table(corpus)),
        _FILES.format(gains=_GAINS_FILE if gains else ""),
    ]
    file = folder / "table.md"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Report(file, gains)


def _rows(results: Sequence[FoldPredictions]) -> dict[str, list[FoldPredictions]]:
    """By row, the seeds of which all folds were run: of a further seed, folds may have different alphas."""
    ordered = sorted(results, key=lambda result: (result.fold, result.seed))
    names = in_table_order(result.row for result in results)
    rows = {name: [result for result in ordered if result.row == name] for name in names}
    folds = {result.fold for result in results}
    return {name: _whole_seeds(part, folds) for name, part in rows.items() if _whole_seeds(part, folds)}


def _whole_seeds(results: Sequence[FoldPredictions], folds: set[str]) -> list[FoldPredictions]:
    of_seed: dict[int, set[str]] = {}
    for result in results:
        of_seed.setdefault(result.seed, set()).add(result.fold)
    return [result for result in results if of_seed[result.seed] == folds]


def _rows_to_plot(names: Iterable[str]) -> list[str]:
    """The rows to plot: the baseline, and the contrastive row that represents the others."""
    names = list(names)
    contrastive = [name for name in names if parse_row(name).group == "contrastive"]
    by_validation = [name for name in contrastive if name.endswith(BY_VALIDATION)]
    best = [name for name in (ANY_BY_VALIDATION, *by_validation, *contrastive) if name in names][:1]
    return list(dict.fromkeys([BASELINE if BASELINE in names else names[0], *best]))


def _gain_row(row: str, against: str, rows: Mapping[str, Sequence[FoldPredictions]]) -> GainRow:
    """With the seeds that both rows have."""
    seeds = {result.seed for result in rows[row]} & {result.seed for result in rows[against]}
    first, second = ([result for result in rows[name] if result.seed in seeds] for name in (row, against))
    gains = {metric: paired_gain(first, second, metric) for metric in _GAIN_METRICS}
    by_session = {metric: paired_gain_by_session(first, second, metric) for metric in _GAIN_METRICS}
    known = {metric: gain for metric, gain in by_session.items() if gain is not None}
    return GainRow(row, against, gains, known)


def _write_plots(
    folder: Path, shown: Mapping[str, Sequence[FoldPredictions]], gains: Sequence[GainRow], mark: str
) -> dict[str, str]:
    """Name -> file, relative to the folder, in the order of the report. mark: at the end of every title."""
    labels = next(iter(shown.values()))[0].labels
    confusions = {row: np.array(pooled(part).confusion) for row, part in shown.items()}
    figures = {
        "Confusion matrix": confusion_figure(
            confusions, labels, f"Confusion, all folds and seeds together{mark}"
        ),
        "Reliability diagram": reliability_figure(shown, f"Reliability, all folds and seeds together{mark}"),
    }
    if drawable := _with_embeddings(shown):
        where = f"fold {drawable[0].fold}, seed {drawable[0].seed}"
        figures["Embeddings"] = tsne_figure(
            drawable, f"t-SNE of the audio and text embeddings, {where}{mark}"
        )
    if sweep := _gain_by_alpha(gains):
        against, lines = sweep
        figures["Gain over alpha"] = alpha_figure(
            lines, against, f"Gain of contrastive regularization over alpha{mark}"
        )
    files = {name: f"plots/{name.lower().replace(' ', '-')}.png" for name in figures}
    for name, figure in figures.items():
        write_png(figure, folder / files[name])
    return files


def _with_embeddings(shown: Mapping[str, Sequence[FoldPredictions]]) -> list[FoldPredictions]:
    """The first fold and seed for which all rows stored embeddings, enough of them and of at least two
    emotions.
    """
    for results in zip(*shown.values(), strict=False):
        same = len({(result.fold, result.seed) for result in results}) == 1
        stored = all(result.embeddings is not None for result in results)
        if same and stored and len(results[0].keys) >= MIN_POINTS and len(set(results[0].truth.tolist())) > 1:
            return list(results)
    return []


def _gain_by_alpha(
    gains: Sequence[GainRow],
) -> tuple[str, dict[str, dict[str, dict[float, Estimate]]]] | None:
    """The row compared with, and metric -> objective -> alpha -> gain; None with fewer than two alphas."""
    compared = {line.against for line in gains if parse_row(line.row).alpha is not None}
    against = next((name for name in (CONCAT_CONTINUED, CONTINUED, CONCAT) if name in compared), BASELINE)
    metrics: dict[str, MetricName] = {"WA": "wa", "UA": "ua"}
    lines: dict[str, dict[str, dict[float, Estimate]]] = {name: {} for name in metrics}
    for line in gains:
        row = parse_row(line.row)
        if row.objective and row.alpha is not None and line.against == against:
            for name, metric in metrics.items():
                lines[name].setdefault(row.objective, {})[row.alpha] = line.gains[metric]
    return (against, lines) if any(len(alphas) > 1 for alphas in lines["WA"].values()) else None
