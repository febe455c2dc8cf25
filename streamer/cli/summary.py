"""`emostream summary`"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer
from rich.console import Console

from ..display_paths import shown
from ..errors import ConfigError, SourceError
from ..optional_deps import require_matplotlib
from ..summary.export import Summary, write_csv, write_json
from ..summary.figure import write_png
from ..summary.reader import ResultFile, find_results
from ..summary.statistics import Recording, Weight
from ..summary.text import print_text


def summary(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Results of `emostream replay` in JSON lines, folders of them, or patterns; "
            "`-`: standard input."
        ),
    ],
    form: Annotated[
        Literal["text", "json", "csv"],
        typer.Option(
            "--format",
            help="text: tables for people. json: everything, times in milliseconds. csv: a row a recording, "
            "times in seconds.",
        ),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write there instead of to the terminal.", show_default=False),
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Draw it there as well.", show_default=False)
    ] = None,
    by: Annotated[
        Weight,
        typer.Option("--by", help="What shares and mean confidences are over: time, or utterances alike."),
    ] = "time",
    files: Annotated[
        int, typer.Option("--files", min=0, help="How many recordings get a row as text; 0: all.")
    ] = 20,
) -> None:
    """Say what results of replay add up to: time per emotion, and which emotion follows which.

    An utterance without a result stands between its neighbours: neither follows the other. A file that cannot
    be read is left out and named: the exit status is 1 then, and 2 where none could be read.
    """
    found, missing = find_results(results)
    _check(found, output, png)
    recordings, unreadable = _read(found)
    failures = [shown(str(failure)) for failure in (*missing, *unreadable)]
    if recordings:
        whole = Summary(recordings, by, failures)
        with _writing(output) as out:
            if form == "json":
                write_json(whole, out)
            elif form == "csv":
                write_csv(whole, out)
            else:
                print_text(whole, Console(file=out), files)
        if png is not None:
            write_png(whole, png)
    for failure in failures:
        print(f"emostream: {failure}", file=sys.stderr)
    if failures:
        raise typer.Exit(1 if recordings else 2)


def _read(found: Sequence[ResultFile]) -> tuple[list[Recording], list[SourceError]]:
    recordings: list[Recording] = []
    failures: list[SourceError] = []
    for file in found:
        try:
            recordings += file.read()
        except SourceError as error:
            failures.append(error)
    return recordings, failures


def _check(found: Sequence[ResultFile], output: Path | None, png: Path | None) -> None:
    """Raises ConfigError where what is asked for cannot be written: told before anything is read."""
    if png is not None:
        if png.suffix.lower() != ".png":
            raise ConfigError(f"expected --png to name a file that ends in .png, got {shown(png)}; rename it")
        require_matplotlib("--png")
    for flag, path in (("--output", output), ("--png", png)):
        if path is None:
            continue
        if path.exists() and any(file.path is not None and path.samefile(file.path) for file in found):
            raise ConfigError(
                f"expected {flag} to be a new file, got the results {shown(path)}; choose another"
            )
        existed = path.exists()
        try:
            path.open("ab").close()  # only trying tells: rights, read-only disks and folders in its place
        except OSError as error:
            raise ConfigError(
                f"expected to write to {shown(path)}, got: {error.strerror}; choose another {flag}"
            ) from error
        if not existed:
            path.unlink()


@contextmanager
def _writing(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        raise ConfigError(
            f"expected to write to {shown(path)}, got: {error.strerror}; choose another --output"
        ) from error
