"""`emostream summary`: statistics over results of replay."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

import typer
from rich.console import Console

from ..display_paths import printable
from ..errors import ConfigError, SourceError
from ..summary.export import Summary, write_csv, write_json
from ..summary.figure import write_png
from ..summary.page import AudioPolicy, write_html
from ..summary.reader import ResultFile, find_results
from ..summary.statistics import RecordingSummary, Weight
from ..summary.text import print_text
from .output_files import check_png, check_writable


def summary(
    *,
    results: list[Path],
    form: Literal["text", "json", "csv"],
    output: Path | None,
    png: Path | None,
    html: Path | None,
    audio: list[Path] | None,
    embed_mb: float,
    by: Weight,
    files: int,
) -> None:
    """Run the command; `commands.summary` has its options."""
    found, missing = find_results(results)
    _check(found, output, png, html)
    recordings, unreadable = _read(found, keep_finals=html is not None)
    failures = [printable(str(failure)) for failure in (*missing, *unreadable)]
    if recordings:
        report = Summary(recordings, by, failures)
        with _open_output(output) as out:
            if form == "json":
                write_json(report, out)
            elif form == "csv":
                write_csv(report, out)
            else:
                print_text(report, Console(file=out), files)
        if png is not None:
            write_png(report, png)
        if html is not None:
            _write_page(report, AudioPolicy(html, audio or (), int(embed_mb * 1_000_000)))
    for failure in failures:
        print(f"emostream: {failure}", file=sys.stderr)
    if failures:
        raise typer.Exit(1 if recordings else 2)


def _write_page(report: Summary, policy: AudioPolicy) -> None:
    try:
        write_html(report, policy)
    except OSError as error:
        raise ConfigError(
            f"expected to write {printable(policy.page)} with its recordings, got: {error.strerror}; choose "
            "another --html"
        ) from error


def _read(
    found: Sequence[ResultFile], *, keep_finals: bool
) -> tuple[list[RecordingSummary], list[SourceError]]:
    recordings: list[RecordingSummary] = []
    failures: list[SourceError] = []
    for file in found:
        try:
            recordings += file.read(keep_finals=keep_finals)
        except SourceError as error:
            failures.append(error)
    return recordings, failures


def _check(found: Sequence[ResultFile], output: Path | None, png: Path | None, html: Path | None) -> None:
    """Raises ConfigError if the output cannot be written, before anything is read."""
    for flag, path in (("--output", output), ("--png", png), ("--html", html)):
        if (
            path is not None
            and path.exists()
            and any(file.path and path.samefile(file.path) for file in found)
        ):
            raise ConfigError(
                f"expected {flag} to be a new file, got the results {printable(path)}; choose another"
            )
    if output is not None:
        check_writable(output, "--output")
    if png is not None:
        check_png(png)
    if html is not None:
        check_writable(html, "--html")


@contextmanager
def _open_output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        raise ConfigError(
            f"expected to write to {printable(path)}, got: {error.strerror}; choose another --output"
        ) from error
