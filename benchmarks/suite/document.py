"""results.md: a table of targets and a section for each measurement, every one replaceable by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.suite.parts import Failure, Figure, Section, table
from benchmarks.suite.targets import TARGETS

_INTRODUCTION: Final = """\
# Benchmarks

Made by `python -m benchmarks`; each section says when it was measured, at which commit and on what. {whole}
"""
_TARGETS_HEADING: Final = "Targets"
_TARGETS_NOTE: Final = """\
On two cores, medians where something was repeated; a ratio is of two times of one run. How each was
measured is in its section.
"""
_HEAD: Final = ("what", "at least", "aim", "measured", "", "commit")
_MEASURED: Final = _HEAD.index("measured")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_STAMP: Final = re.compile(r"^Measured on (?P<date>\S+) at commit (?P<commit>[^\s,]+)", re.MULTILINE)


@dataclass(slots=True)
class Document:
    """rows: what a target is -> its line of the table. sections: heading -> text below it."""

    rows: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Document:
        """Of what `render` gave. Other text is kept where it is below a heading of its own."""
        _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
        document = cls()
        for part in parts:
            heading, _, body = part.partition("\n")
            document.sections[heading.strip()] = body.strip("\n") + "\n"
        targets = document.sections.pop(_TARGETS_HEADING, "")
        document.rows = {
            line.split(" | ")[0].removeprefix("| "): line
            for line in targets.splitlines()
            if line.startswith("| ") and not line.startswith(("| what |", "| --- |"))
        }
        return document

    def replace(
        self, section: Section, text: str, figures: Sequence[Figure], failures: Sequence[Failure], stamp: str
    ) -> None:
        """What a section measured in the place of what it measured before. stamp: date, commit, machine."""
        failed = "".join(f"**Not measured**: {failure.reason}\n\n" for failure in failures)
        self.sections[section.heading] = (
            f"\nMeasured on {stamp}.\n\n{text.rstrip()}\n\n{failed}".rstrip() + "\n"
        )
        found = {figure.target: figure for figure in figures}
        commit = stamp.split("at commit ")[1].split(",")[0]
        for key in section.targets:
            self.rows[TARGETS[key].what] = target_row(key, found.get(key), commit)

    def measured(self) -> dict[str, float]:
        """Target -> the value in its row, as rounded there; none for one that was not measured."""
        cells = {key: self.rows.get(target.what, "").split(" | ") for key, target in TARGETS.items()}
        return {
            key: float(found[0])
            for key, row in cells.items()
            if len(row) > _MEASURED and (found := _NUMBER.match(row[_MEASURED]))
        }

    def render(self, sections: Sequence[Section]) -> str:
        """In the order of `sections`; what no longer has one is left out."""
        order = [section for section in sections if section.heading in self.sections]
        rows = [row for target in TARGETS.values() if (row := self.rows.get(target.what))]
        head = table(_HEAD, []).rstrip("\n")
        text = _INTRODUCTION.format(whole=self._whole(sections))
        text += f"\n## {_TARGETS_HEADING}\n\n{_TARGETS_NOTE}\n{head}\n" + "".join(f"{row}\n" for row in rows)
        for section in order:
            text += f"\n## {section.heading}\n\n{self.sections[section.heading].strip()}\n"
        return text

    def _whole(self, sections: Sequence[Section]) -> str:
        """Which sections of a whole run are of one commit: that of most of them."""
        commits = {
            section.heading: found["commit"]
            for section in sections
            if section.in_suite and (found := _STAMP.search(self.sections.get(section.heading, "")))
        }
        if not commits:
            return "Nothing is measured yet."
        ((common, _),) = Counter(commits.values()).most_common(1)
        headings = [section.heading for section in sections if section.in_suite]
        others = [
            f"{heading} ({commits.get(heading, 'not measured')})"
            for heading in headings
            if commits.get(heading) != common
        ]
        whole = f"All that `make bench` measures is of commit {common}"
        return f"{whole}, but for {', '.join(others)}." if others else f"{whole}."


def target_row(key: str, figure: Figure | None, commit: str) -> str:
    """A line of the table of targets."""
    target = TARGETS[key]
    bounds = [target.what, target.write(target.at_least), target.write(target.aim)]
    if figure is None:
        cells = [*bounds, "not measured", "", commit]
    else:
        measured = target.write(figure.value) + (f" ({figure.note})" if figure.note else "")
        cells = [*bounds, measured, target.verdict(figure.value), commit]
    return table(cells, []).splitlines()[0]
