"""A summary as tables in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..output.colours import TERMINAL_STYLES
from ..plurals import counted
from .export import Summary, display_name, minutes, percent, share_of, shorten_names
from .statistics import RecordingSummary, longest_recordings

_BAR: Final = 24
_PAIRS: Final = 20
_NARROWEST_NAME: Final = 14
_FILE_COLUMNS: Final = 34
"""Width of a recording's row without its name and shares, gaps included."""


def print_text(summary: Summary, console: Console, most_files: int) -> None:
    """most_files: how many recordings have a row, the longest ones; 0: all."""
    console.print(_overview(summary))
    if summary.labels:
        share = "speech" if summary.by == "time" else "utterances"
        _print_part(console, f"Emotions, share of {share}", _emotions_table(summary))
    if summary.total.transitions:
        _print_transitions(summary, console)
    shown = longest_recordings(summary.recordings, most_files)
    _print_part(console, "Recordings", _files_table(shown, summary, console.width))
    if hidden := len(summary.recordings) - len(shown):
        console.print(Text(f"{hidden} more, shorter ones: --files 0 shows all.", "dim"))


def _print_part(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(Text(title, "bold"))
    console.print(table)


def _overview(summary: Summary) -> Table:
    total, speech = summary.total, summary.total.all
    reasons = ", ".join(f"{reason} {count}" for reason, count in total.uncertainty_reasons.most_common())
    uncertain_share = percent(share_of(speech.uncertain_count, speech.utterances))
    table = _table(gap=2, headers=False)
    table.add_column()
    table.add_column(overflow="fold")
    channels = sum(recording.channel is not None for recording in summary.recordings)
    of_channels = f" ({counted(channels, 'channel')} apart)" if channels else ""
    table.add_row("recordings", f"{summary.sessions}{of_channels}, {minutes(total.length_ms)} min")
    speech_share = percent(share_of(speech.ms, total.length_ms))
    table.add_row("speech", f"{minutes(speech.ms)} min ({speech_share} of the audio)")
    table.add_row("silence", f"{minutes(total.silence_ms)} min")
    table.add_row("audio lost", f"{total.lost_ms / 1_000:.1f} s")
    table.add_row("utterances", f"{speech.utterances}, and {total.failed} without a result")
    if total.no_emotion:
        no_emotion = ", ".join(f"{reason} {count}" for reason, count in total.no_emotion.most_common())
        table.add_row("no emotion", no_emotion)
    table.add_row("confidence", f"{percent(speech.mean_confidence(summary.by))} on average")
    table.add_row(
        "uncertain", f"{speech.uncertain_count} ({uncertain_share}){': ' if reasons else ''}{reasons}"
    )
    states = Counter(
        state for _, _, state in {(each.results, each.name, each.state) for each in summary.recordings}
    )
    if number := states["partial"]:
        table.add_row("partial", f"{number} that could not be read to the end")
    if number := states["incomplete"]:
        table.add_row("incomplete", f"{number} whose results break off; their known length counts")
    if number := states["utterances"]:
        table.add_row("tables", f"{number} without the recording's length: known to its last utterance")
    return table


def _table(gap: int, *, headers: bool = True) -> Table:
    return Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=headers)


def _add_numbers(table: Table, *headers: str | Text) -> None:
    for header in headers:
        table.add_column(header, justify="right")


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
            _label(label),
            minutes(emotion.ms),
            percent(share),
            Text("█" * round((share or 0) * _BAR) or "▏", TERMINAL_STYLES.get(label, "magenta")),
            str(emotion.utterances),
            percent(emotion.mean_confidence(by)),
            str(emotion.uncertain_count),
        )
    return table


def _print_transitions(summary: Summary, console: Console) -> None:
    """As a matrix if it fits, else the most frequent ones."""
    total, labels = summary.total, summary.labels
    table = _table(gap=2)
    table.add_column()
    _add_numbers(table, *map(_label, labels), "all")
    for first in labels:
        row = total.transitions_from(first)
        cells = [total.transitions[first, then] for then in labels]
        texts = [f"{times} {percent(times / row):>4}" if times else "-" for times in cells]
        table.add_row(_label(first), *texts, str(row))
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
        table.add_row(_label(first), _label(then), str(times), percent(times / total.transitions_from(first)))
    _print_part(
        console, f"What follows what: the {len(pairs)} most frequent of {len(total.transitions)}", table
    )


def _files_table(recordings: Sequence[RecordingSummary], summary: Summary, width: int) -> Table:
    by = summary.by
    label_columns = sum(max(len(label), 4) + 1 for label in summary.labels)
    room, labels = width - _FILE_COLUMNS - label_columns, summary.labels
    if room < _NARROWEST_NAME:
        room, labels = room + label_columns, []  # they are in the other formats
    table = _table(gap=1)
    table.add_column(overflow="fold")
    _add_numbers(table, "min:s", "utt.", *map(_label, labels))
    table.add_column("most")
    _add_numbers(table, "unc.", "err.")
    names = shorten_names([display_name(recording) for recording in recordings], max(room, 1))
    for name, recording in zip(names, recordings, strict=True):
        statistics, most = recording.statistics, recording.statistics.dominant(by)
        table.add_row(
            Text(name),
            minutes(statistics.length_ms),
            str(statistics.all.utterances),
            *(percent(statistics.share(label, by) or None) for label in labels),
            _label(most) if most else "-",
            str(statistics.all.uncertain_count),
            str(statistics.failed),
        )
    return table


def _label(label: str) -> Text:
    return Text(label, TERMINAL_STYLES.get(label, "magenta"))
