"""A comparison as text, as JSON, and as a table of its pairs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..output.colours import TERMINAL_STYLES
from ..output.csv_cells import safe_cell
from ..output.sinks import clock_time
from ..plurals import counted
from .agreement import Agreement, Estimate
from .labels import Label
from .pairing import Pairs

_TEXT_CHARACTERS: Final = 48


@dataclass(frozen=True, slots=True)
class Comparison:
    """first, second: names of the two sets, for people."""

    first: str
    second: str
    pairs: Pairs
    agreement: Agreement

    @property
    def different(self) -> list[tuple[Label, Label]]:
        """Pairs with two labels, those of which the first set is most confident first."""
        found = [both for both in self.pairs.both if both[0].label != both[1].label]
        return sorted(found, key=lambda both: -(both[0].confidence or 0.0))


def print_comparison(comparison: Comparison, console: Console, most: int) -> None:
    """most: rows of pairs that differ; 0: all."""
    agreement, pairs = comparison.agreement, comparison.pairs
    table = _table()
    table.add_row("first", comparison.first)
    table.add_row("second", comparison.second)
    left = f"{len(pairs.only_first)} of the first and {len(pairs.only_second)} of the second have no partner"
    table.add_row("compared", f"{counted(len(pairs.both), 'utterance')}; {left}")
    table.add_row("agreement", _percent(agreement.share))
    table.add_row("kappa", "- (one label alone)" if agreement.kappa is None else _decimal(agreement.kappa))
    table.add_row("mean recall of the second's labels", _percent(agreement.balanced))
    console.print(table)
    _print_part(console, "Per label, with the second as the truth", _class_table(agreement))
    _print_part(console, "Rows: the second's labels; columns: the first's", _confusion_table(agreement))
    different = comparison.different
    if different:
        shown = different[: most or None]
        _print_part(console, f"{len(different)} differ", _difference_table(shown))
        if hidden := len(different) - len(shown):
            console.print(Text(f"{hidden} more: --most 0 shows all.", "dim"))


def _print_part(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(Text(title, "bold"))
    console.print(table)


def _table(*headers: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=bool(headers))
    for header in headers or ("", ""):
        table.add_column(header, overflow="fold")
    return table


def _class_table(agreement: Agreement) -> Table:
    table = _table("", "first", "second", "precision", "recall", "F1")
    for each in agreement.classes:
        scores = (each.precision, each.recall, each.f1)
        cells = ["-" if score is None else f"{score:.2f}" for score in scores]
        table.add_row(_label(each.label), str(each.first), str(each.second), *cells)
    return table


def _confusion_table(agreement: Agreement) -> Table:
    table = _table("", *agreement.labels)
    for label, row in zip(agreement.labels, agreement.confusion.tolist(), strict=True):
        table.add_row(_label(label), *(str(count) if count else "-" for count in row))
    return table


def _difference_table(pairs: Sequence[tuple[Label, Label]]) -> Table:
    table = _table("recording", "from", "first", "second", "words")
    for one, two in pairs:
        start_ms = one.start_ms if one.start_ms is not None else two.start_ms
        confidence = "" if one.confidence is None else f" {one.confidence:.0%}"
        words = one.text or two.text
        table.add_row(
            Text(one.recording),
            "" if start_ms is None else clock_time(start_ms),
            _label(one.label) + confidence,
            _label(two.label),
            Text(words if len(words) <= _TEXT_CHARACTERS else words[: _TEXT_CHARACTERS - 1] + "…"),
        )
    return table


def _label(label: str) -> Text:
    return Text(label, TERMINAL_STYLES.get(label, "magenta"))


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%}{_interval(estimate, '.1%')}"


def _decimal(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}{_interval(estimate, '.3f')}"


def _interval(estimate: Estimate, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return " (one recording: no interval)"
    return f" ({estimate.low:{form}} to {estimate.high:{form}}, 95 %, over recordings)"


def write_json(comparison: Comparison, out: TextIO) -> None:
    agreement, pairs = comparison.agreement, comparison.pairs
    content = {
        "first": comparison.first,
        "second": comparison.second,
        "compared": len(pairs.both),
        "only_first": len(pairs.only_first),
        "only_second": len(pairs.only_second),
        "agreement": agreement.share,
        "kappa": agreement.kappa,
        "mean_recall": agreement.balanced,
        "labels": agreement.labels,
        "classes": agreement.classes,
        "confusion": agreement.confusion.tolist(),
        "different": [_pair(*both) for both in comparison.different],
    }
    out.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def write_csv(comparison: Comparison, out: TextIO) -> None:
    """A row for each pair, and for each label without a partner."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["file", "channel", "start_s", "end_s", "first", "confidence", "second", "text"])
    pairs = comparison.pairs
    only_first = [(one, None) for one in pairs.only_first]
    only_second = [(None, two) for two in pairs.only_second]
    for one, two in (*pairs.both, *only_first, *only_second):
        rows.writerow(list(_pair(one, two).values()))


def _pair(one: Label | None, two: Label | None) -> dict[str, Any]:
    known = next(label for label in (one, two) if label is not None)
    timed = next((label for label in (one, two) if label and label.start_ms is not None), known)
    channels = (label.channel for label in (one, two) if label is not None and label.channel is not None)
    return {
        "file": safe_cell(known.recording),
        "channel": next(channels, None),
        "start_s": None if timed.start_ms is None else timed.start_ms / 1_000,
        "end_s": None if timed.end_ms is None else timed.end_ms / 1_000,
        "first": None if one is None else safe_cell(one.label),
        "confidence": None if one is None else one.confidence,
        "second": None if two is None else safe_cell(two.label),
        "text": safe_cell((one.text if one is not None else "") or (two.text if two is not None else "")),
    }
