"""Results of `emostream replay`: found, and read; JSON lines incrementally."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from glob import has_magic
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ..display_paths import printable
from ..errors import ProtocolError, SourceError
from ..protocol import messages
from ..text_encoding import encoding_of
from . import tables
from .statistics import RecordingSummary, SessionAccumulator

_SUFFIX: Final = ".jsonl"
_PARTIAL: Final = ".partial.jsonl"
"""Suffix that `replay --output-dir` gives the results of a recording that it could not read to the end."""
_LONGEST_LINE: Final = 1 << 20
"""Bytes. An utterance with its words has a few thousand; a longer line is no event and is not buffered."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """path: None for standard input. name: of the recording, if its events do not name it."""

    path: Path | None
    name: str

    @property
    def printable_name(self) -> str:
        return "standard input" if self.path is None else printable(self.path)

    def read(self, *, keep_finals: bool = False) -> list[RecordingSummary]:
        """The sessions in it, in the order in which they begin. keep_finals: with their final results.

        Raises SourceError if it cannot be read, a line is no event, or it is empty.
        """
        try:
            if self.path is not None and self.path.suffix in tables.SUFFIXES:
                return tables.read_table(self.path, self.printable_name, keep_finals=keep_finals)
            with nullcontext(sys.stdin.buffer) if self.path is None else self.path.open("rb") as lines:
                recordings = read_results(lines, self.printable_name, self.name, keep_finals=keep_finals)
        except OSError as error:
            raise SourceError(
                f"expected results in {self.printable_name}, got: {error.strerror}; "
                "give a file that can be read"
            ) from error
        if self.path is not None and self.path.name.endswith(_PARTIAL):
            for recording in recordings:
                recording.state = "partial" if recording.state == "complete" else recording.state
        return recordings


def find_results(places: Sequence[Path]) -> tuple[list[ResultFile], list[SourceError]]:
    """Files, folders (searched recursively), patterns and `-` -> files of results, each once, and errors for
    what is missing.

    The partial results of a recording are skipped if its complete ones are beside them.
    """
    found: dict[Path | None, ResultFile] = {}
    failures: list[SourceError] = []
    for place in places:
        if place == Path("-"):
            found.setdefault(None, ResultFile(None, "standard input"))
            continue
        for path in _expand(place, failures):
            named = path.relative_to(place) if place.is_dir() and len(places) == 1 else path
            found.setdefault(path.resolve(), ResultFile(path, printable(_recording_of(named))))
    files = [file for path, file in found.items() if path is None or _complete_path(path) not in found]
    return files, failures


def _recording_of(path: Path) -> Path:
    """a.wav.jsonl -> a.wav, as `replay --output-dir` names its files; other names stay."""
    recording = path.with_name(path.name.removesuffix(_SUFFIX).removesuffix(".partial"))
    return recording if recording.suffix else path


def _complete_path(path: Path) -> Path | str:
    """The path of the complete results, for partial ones."""
    name = path.name
    return path.with_name(name.removesuffix(_PARTIAL) + _SUFFIX) if name.endswith(_PARTIAL) else ""


def _expand(place: Path, failures: list[SourceError]) -> list[Path]:
    name = printable(place)
    if place.is_dir():
        # Tables may hold the same results once more, or be no results at all.
        paths = _found_in(place, _SUFFIX) or _found_in(place, *tables.SUFFIXES)
        missing = (
            f"expected results (*{_SUFFIX}, *.csv or *.parquet) in the folder {name}, found none; name files "
            "or another folder"
        )
    elif has_magic(str(place)) and not place.exists():
        root = Path(place.anchor)  # a relative pattern has none: the current folder
        matching = root.glob(str(place.relative_to(root) if place.anchor else place))
        paths = sorted(path for path in matching if not path.is_dir())
        missing = f"expected results like {name}, found none; check the pattern"
    elif place.exists():
        return [place]
    else:
        paths, missing = [], f"expected results at {name}, found no such file; check the name"
    if not paths:
        failures.append(SourceError(missing))
    return paths


def _found_in(folder: Path, *suffixes: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix in suffixes and not path.is_dir())
    return sorted(path for path in files if not _is_errors_table(path))


def _is_errors_table(path: Path) -> bool:
    """Whether it belongs to the errors table that `emostream batch` writes beside its results."""
    return path.parent.name == "errors" and (path.parent.parent / "done").is_dir()


def read_results(
    lines: BinaryIO, results: str, name: str, *, keep_finals: bool = False
) -> list[RecordingSummary]:
    """The sessions of one file, in the order in which they begin, channel by channel where they have several.

    results: the file, for messages. name: of the recording, if its events do not name it. Raises SourceError
    if a line is no event, or there is none.
    """
    reader = _Reader(results, name, keep_finals=keep_finals)
    for file, event in read_events(lines, results):
        reader.add(file, event)
    return reader.recordings


def read_events(lines: BinaryIO, results: str) -> Iterator[tuple[str | None, messages.ServerEvent]]:
    """The recording, if the line names one, and the event. results: the file, for messages.

    Raises SourceError if a line is no event, or there is none.
    """
    found = False
    for number, line, ended in _numbered(lines):
        try:
            file, event = _decoded(line)
            _check(event)
        except _NoEventError as error:
            if not ended and found and error.broken:
                break  # the writer was stopped in the middle of a line
            raise SourceError(
                f"expected an event of emostream replay, got something else at {results}:{number} "
                f"({error}); give results in its jsonl format, one event a line"
            ) from error
        if not isinstance(event, messages.Ready | messages.Ack | messages.Waveform):
            found = True
            yield file, event
    if not found:
        raise SourceError(
            f"expected events of emostream replay in {results}, got none; replay the recording again"
        )


def _check(event: messages.ServerMessage) -> None:
    if isinstance(event, messages.Emotion | messages.NoEmotion) and event.end_ms < event.start_ms:
        raise _NoEventError("an utterance that ends before it starts", broken=False)


def _numbered(lines: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Number, line in UTF-8, and whether it is complete; without empty lines."""
    for number, line in enumerate(_utf8_lines(lines), 1):
        if line.strip():
            yield number, line, line.endswith(b"\n") or len(line) >= _LONGEST_LINE


def _utf8_lines(lines: BinaryIO) -> Iterator[bytes]:
    """Without a byte order mark; PowerShell writes UTF-16."""
    head = lines.read(4)
    encoding, mark_bytes = encoding_of(head)
    head = head[mark_bytes:]
    if encoding == "utf-8":
        while b"\n" in head:
            line, _, head = head.partition(b"\n")
            yield line + b"\n"
        while line := head + lines.readline(_LONGEST_LINE):
            head = b""
            yield line
        return
    text = TextIOWrapper(lines, encoding, errors="replace", newline="\n")
    begun = head.decode(encoding, errors="replace")
    try:
        while line_text := begun + text.readline(_LONGEST_LINE):
            begun = ""
            yield line_text.encode()
    finally:
        text.detach()


class _NoEventError(Exception):
    """broken: it is no valid JSON, possibly an incomplete line."""

    def __init__(self, message: str, *, broken: bool) -> None:
        super().__init__(message)
        self.broken = broken


class _FileField(msgspec.Struct):
    """The recording that a line belongs to, if several share one file."""

    file: str | None = None


_file_decoder: Final = msgspec.json.Decoder(_FileField)


def _decoded(line: bytes) -> tuple[str | None, messages.ServerMessage]:
    try:
        return _file_decoder.decode(line).file, messages.decode_server_message(line)
    except (msgspec.ValidationError, ProtocolError) as error:
        raise _NoEventError(str(error.__cause__ or error), broken=False) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _NoEventError(str(error), broken=True) from error


class _Reader:
    """Assigns the events of one file to its sessions."""

    def __init__(self, results: str, name: str, *, keep_finals: bool) -> None:
        self._keep_finals = keep_finals
        self._sessions: list[SessionAccumulator] = []
        self._results = results
        self._name = name
        self._open: dict[str | None, SessionAccumulator] = {}
        self._begun: Counter[str | None] = Counter()

    @property
    def recordings(self) -> list[RecordingSummary]:
        return [recording for session in self._sessions for recording in session.recordings]

    def add(self, file: str | None, event: messages.ServerEvent) -> None:
        session = self._open.get(file)
        if session is None or session.is_later_session(event):
            session = self._open[file] = self._begin(file)
        session.add(event)
        if isinstance(event, messages.Closed):
            del self._open[file]

    def _begin(self, file: str | None) -> SessionAccumulator:
        self._begun[file] += 1
        name = self._name if file is None else file
        again = f" ({self._begun[file]})" if self._begun[file] > 1 else ""
        self._sessions.append(SessionAccumulator(name + again, self._results, keep_finals=self._keep_finals))
        return self._sessions[-1]
