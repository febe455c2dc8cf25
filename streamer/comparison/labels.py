"""Labels of utterances or of whole recordings, read from results or from a table of human labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..display_paths import printable
from ..errors import SourceError
from ..protocol import messages
from ..summary import tables
from ..summary.reader import ResultFile, find_results, read_events

_RECORDING: Final = ("file", "recording", "path", "name", "filename")
_LABEL: Final = ("label", "emotion")
"""The names that these columns have, the first of them that there is."""


@dataclass(frozen=True, slots=True)
class Label:
    """Of an utterance, or of a whole recording where there are no times. confidence: of a model."""

    recording: str
    label: str
    start_ms: int | None = None
    end_ms: int | None = None
    channel: int | None = None
    confidence: float | None = None
    text: str = ""


def read_labels(place: Path, renamed: Mapping[str, str]) -> list[Label]:
    """Of a file of results, a folder of them, or a table of labels. renamed: theirs in small letters -> ours.

    Raises SourceError, and ConfigError if pyarrow is missing for Parquet.
    """
    found, missing = find_results([place])
    if missing:
        raise missing[0]
    labels = [label for file in found for label in _of_file(file)]
    if not labels:
        raise SourceError(f"expected labelled utterances in {printable(place)}, got none; give other results")
    return [replace(label, label=renamed.get(label.label, label.label)) for label in labels]


def _of_file(file: ResultFile) -> list[Label]:
    name = file.printable_name
    if file.path is None:
        raise SourceError("expected a file or a folder, got standard input; write it to a file")
    try:
        if file.path.suffix in tables.SUFFIXES:
            return list(_of_table(tables.open_table(file.path, name), name))
        with file.path.open("rb") as lines:
            return [
                _of_event(recording or file.name, event)
                for recording, event in read_events(lines, name)
                if isinstance(event, messages.Emotion) and event.final
            ]
    except OSError as error:
        raise SourceError(
            f"expected labels in {name}, got: {error.strerror}; give a file that can be read"
        ) from error


def _of_event(recording: str, event: messages.Emotion) -> Label:
    label = _plain(event.label)
    times = event.start_ms, event.end_ms
    return Label(recording, label, *times, event.channel, event.confidence, event.text)


def _of_table(table: tables.Table, name: str) -> Iterator[Label]:
    recording = next((column for column in _RECORDING if column in table.columns), None)
    label = next((column for column in _LABEL if column in table.columns), None)
    if recording is None or label is None:
        raise SourceError(
            f"expected a column file and a column label in {name}, got {', '.join(table.columns) or 'none'}; "
            "name them so (start_s, end_s and channel are optional)"
        )
    for number, row in enumerate(table.rows, 1):
        try:
            if row[label]:  # people leave out what they cannot tell
                yield _of_row(row, str(row[recording]), _plain(str(row[label])))
        except (TypeError, ValueError) as error:
            raise SourceError(
                f"expected a label with its times in seconds in {name}, got row {number} ({error}); mend it"
            ) from error


def _of_row(row: Mapping[str, Any], recording: str, label: str) -> Label:
    def number(column: str) -> float | None:
        value = row.get(column)
        return None if value in (None, "") else float(value)

    start_s, end_s, channel = number("start_s"), number("end_s"), number("channel")
    if (start_s is None) != (end_s is None):
        raise ValueError("start_s without end_s, or the other way round")
    if start_s is None or end_s is None:
        times: tuple[int | None, int | None] = None, None
    else:
        times = round(start_s * 1_000), round(end_s * 1_000)
    text = str(row.get("text") or "")
    return Label(
        recording, label, *times, None if channel is None else int(channel), number("confidence"), text
    )


def _plain(label: str) -> str:
    return label.strip().casefold()
