"""`python -m benchmarks [--speech FOLDER] [--only NAME ...] [--smoke]`: measure, and write results.md.

All sections take less than half an hour on two cores. Without `--speech` the speech is the demo's recording.
What is there is kept: each section is written when it is done, one that fails says so in its place, and then
the exit status is 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import stamp
from benchmarks.suite.document import Document
from benchmarks.suite.isolation import run_isolated
from benchmarks.suite.parts import Section, Setup
from benchmarks.suite.runner import RunSection, SectionResult, run_sections
from benchmarks.suite.sections import SECTIONS
from benchmarks.suite.targets import TARGETS

FOLDER: Final = Path(__file__).resolve().parent
RESULTS: Final = "results.md"


def main(
    arguments: Sequence[str] | None = None,
    *,
    folder: Path = FOLDER,
    sections: Sequence[Section] = SECTIONS,
    run: RunSection = run_isolated,
    stamp: Callable[[], str] = stamp,
) -> int:
    """The exit status. folder: of results.md and the pages beside it. run: measures a section."""
    options = _parse(arguments, sections)
    chosen = [one for one in sections if one.name in (options.only or _suite(sections))]
    before = _document(folder).measured()
    setup = Setup(options.speech, options.smoke, stamp(), before)
    failed = []
    try:
        for result in run_sections(chosen, setup, run):
            if result.failures:
                failed.append(result.section.name)
            if options.smoke:
                _print(result)
            else:
                _write(result, sections, setup.stamp, folder)
    except KeyboardInterrupt:
        print("interrupted; the sections that were done are kept", file=sys.stderr)
        return 130
    if not options.smoke:
        print((folder / RESULTS).read_text(encoding="utf-8").split("\n## ")[1])
    if failed:
        print(f"not measured, wholly or in part: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None, sections: Sequence[Section]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [section.name for section in sections]
    parser.add_argument(
        "--speech",
        type=Path,
        metavar="FOLDER",
        help="recordings of one utterance each, instead of the demo's",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="NAME",
        help=f"sections to measure, in place of those that are there: {', '.join(names)}; "
        f"without it all but {', '.join(set(names) - _suite(sections))}",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="everything at its smallest, in a minute, to see that it runs; nothing is written",
    )
    options = parser.parse_args(arguments)
    if options.speech is not None and not options.speech.is_dir():
        parser.error(f"expected a folder of recordings at {options.speech}, found none; correct --speech")
    return options


def _suite(sections: Sequence[Section]) -> set[str]:
    return {section.name for section in sections if section.in_suite}


def _document(folder: Path) -> Document:
    file = folder / RESULTS
    return Document.parse(file.read_text(encoding="utf-8") if file.exists() else "")


def _write(result: SectionResult, sections: Sequence[Section], stamp: str, folder: Path) -> None:
    """Into results.md, and its own pages beside it."""
    document = _document(folder)
    minutes = f"{stamp}; {result.took_s:.0f} s"
    document.replace(result.section, result.text, result.figures, result.failures, minutes)
    (folder / RESULTS).write_text(document.render(sections), encoding="utf-8")
    for page in result.pages:
        (folder / page.name).write_text(page.text, encoding="utf-8")


def _print(result: SectionResult) -> None:
    print(f"## {result.section.heading}\n\n{result.text}".rstrip())
    for page in result.pages:
        print(f"\n{page.text}".rstrip())
    for figure in result.figures:
        target = TARGETS[figure.target]
        print(f"{target.what}: {target.write(figure.value)}")
    for failure in result.failures:
        print(f"not measured: {failure.reason}")
    print(flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a section started ends with it
    sys.exit(main())
