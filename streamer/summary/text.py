"""A summary as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..output.colours import TERMINAL_STYLES
from .export import Summary, fitted, marked, minutes, percent, share_of
from .statistics import Recording, longest

_BAR: Final = 24
_PAIRS: Final = 20
_NARROWEST_NAME: Final = 14
_FILE_COLUMNS: Final = 34
"""Letters that a recording's row takes beside its name and shares, with the gaps between them."""


def print_text(summary: Summary, console: Console, most_files: int) -> None:
    """most_files: how many recordings get a row, the longest; 0: all."""
    console.print(_overview(summary))
    if summary.labels:
        share = "speech" if summary.by == "time" else "utterances"
        _print_part(console, f"Emotions, share of {share}", _emotions_table(summary))
    if summary.total.transitions:
        _print_transitions(summary, console)
    kept = longest(summary.recordings, most_files)
    _print_part(console, "Recordings", _files_table(kept, summary, console.width))
    if hidden := len(summary.recordings) - len(kept):
        console.print(Text(f"{hidden} more, shorter ones: --files 0 shows all.", "dim"))


def _print_part(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(Text(title, "bold"))
    console.print(table)


def _overview(summary: Summary) -> Table:
    total, speech = summary.total, summary.total.all
    reasons = ", ".join(f"{reason} {times}" for reason, times in total.doubts.most_common())
    uncertain_count = percent(share_of(speech.uncertain_count, speech.utterances))
    table = _table(gap=2, heads=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("recordings", f"{len(summary.recordings)}, {minutes(total.length_ms)} min")
    spoken = percent(share_of(speech.ms, total.length_ms))
    table.add_row("speech", f"{minutes(speech.ms)} min ({spoken} of the sound)")
    table.add_row("silence", f"{minutes(total.silence_ms)} min")
    table.add_row("sound lost", f"{total.lost_ms / 1_000:.1f} s")
    table.add_row("utterances", f"{speech.utterances}, and {total.failed} without a result")
    table.add_row("confidence", f"{percent(speech.mean_confidence(summary.by))} on average")
    table.add_row(
        "uncertain", f"{speech.uncertain_count} ({uncertain_count}){': ' if reasons else ''}{reasons}"
    )
    states = Counter(one.state for one in summary.recordings)
    if number := states["partial"]:
        table.add_row("partial", f"{number} whose sound did not come to its end")
    if number := states["incomplete"]:
        table.add_row("incomplete", f"{number} whose results break off; their length is what is known of it")
    return table


def _table(gap: int, *, heads: bool = True) -> Table:
    return Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=heads)


def _add_numbers(table: Table, *heads: str | Text) -> None:
    for head in heads:
        table.add_column(head, justify="right")


def _emotions_table(summary: Summary) -> Table:
    total, by = summary.total, summary.by
    table = _table(gap=2)
    table.add_column()
    _add_numbers(table, "min:s", "share")
    table.add_column()
    _add_numbers(table, "utterances", "confidence", "uncertain")
    for label in summary.labels:
        emotion, share = total.emotions[label], total.share(label, by)
        table.add_row(
            _word(label),
            minutes(emotion.ms),
            percent(share),
            Text("█" * round((share or 0) * _BAR) or "▏", TERMINAL_STYLES.get(label, "magenta")),
            str(emotion.utterances),
            percent(emotion.mean_confidence(by)),
            str(emotion.uncertain_count),
        )
    return table


def _print_transitions(summary: Summary, console: Console) -> None:
    """All of them where they fit, the most frequent otherwise."""
    total, labels = summary.total, summary.labels
    table = _table(gap=2)
    table.add_column()
    _add_numbers(table, *map(_word, labels), "all")
    for first in labels:
        row = total.followed(first)
        cells = [total.transitions[first, then] for then in labels]
        texts = [f"{times} {percent(times / row):>4}" if times else "-" for times in cells]
        table.add_row(_word(first), *texts, str(row))
    title = "What follows what: row first, column next; times, share of the row"
    unbounded = console.options.update(max_width=1_000_000)
    if Measurement.get(console, unbounded, table).maximum <= console.width:
        _print_part(console, title, table)
        return
    pairs = total.transitions.most_common(_PAIRS)
    table = _table(gap=2)
    table.add_column("first")
    table.add_column("next")
    _add_numbers(table, "times", "share of first")
    for (first, then), times in pairs:
        table.add_row(_word(first), _word(then), str(times), percent(times / total.followed(first)))
    _print_part(
        console, f"What follows what: the {len(pairs)} most frequent of {len(total.transitions)}", table
    )


def _files_table(recordings: Sequence[Recording], summary: Summary, width: int) -> Table:
    by = summary.by
    label_columns = sum(max(len(label), 4) + 1 for label in summary.labels)
    room, labels = width - _FILE_COLUMNS - label_columns, summary.labels
    if room < _NARROWEST_NAME:
        room, labels = room + label_columns, []  # the other formats have them
    table = _table(gap=1)
    table.add_column(overflow="fold")
    _add_numbers(table, "min:s", "utt.", *map(_word, labels))
    table.add_column("most")
    _add_numbers(table, "unc.", "err.")
    names = fitted([marked(one) for one in recordings], max(room, 1))
    for name, one in zip(names, recordings, strict=True):
        tally, most = one.tally, one.tally.dominant(by)
        table.add_row(
            Text(name),
            minutes(tally.length_ms),
            str(tally.all.utterances),
            *(percent(tally.share(label, by) or None) for label in labels),
            _word(most) if most else "-",
            str(tally.all.uncertain_count),
            str(tally.failed),
        )
    return table


def _word(label: str) -> Text:
    return Text(label, TERMINAL_STYLES.get(label, "magenta"))
