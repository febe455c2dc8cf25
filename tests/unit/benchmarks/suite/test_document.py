"""results.md: sections replaced one by one, the table of targets, what failed in its place."""

from __future__ import annotations

from benchmarks.suite.document import Document, target_row
from benchmarks.suite.parts import Failure, Figure, Section

FIRST = Section("help", "Help", "x:y", 1.0, 1.0, ("help",))
SECOND = Section("silence", "A silent stream", "x:y", 1.0, 1.0, ("silence",))
BESIDE = Section("scaling", "Past one machine", "x:y", 1.0, 1.0, in_suite=False)
SECTIONS = (FIRST, SECOND, BESIDE)
STAMP = "2026-11-30 at commit {}, some CPU, 2 cores; Python 3.11; 41 s"
OLD = """\
# Benchmarks

Whatever was here.

## Whole runs

Of a section that is no more.

## Past one machine

Measured on 2026-11-22, commit b5d0180.

### A server without models

| a | b |
|---|---|
| 1 | 2 |
"""


def measured(commit: str = "abc1234", value: float = 0.25) -> Document:
    document = Document.parse(OLD)
    document.replace(FIRST, "Of 2 commands.\n", [Figure("help", value, "`serve`")], [], STAMP.format(commit))
    return document


def test_a_section_is_replaced_and_the_others_stay_as_they_are() -> None:
    before = measured()
    before.replace(SECOND, "Silence.\n", [Figure("silence", 1.4)], [], STAMP.format("abc1234"))
    text = before.render(SECTIONS)
    after = Document.parse(text)
    after.replace(FIRST, "Of 3 commands.\n", [Figure("help", 0.6)], [], STAMP.format("fff0000"))
    new = after.render(SECTIONS)
    assert "Of 3 commands." in new
    assert "Of 2 commands." not in new
    assert text[text.index("## A silent stream") :] == new[new.index("## A silent stream") :]
    assert "| 1.40 | reached | abc1234 |" in new
    assert "| 0.60 s | missed | fff0000 |" in new
    assert "0.25 s" not in new


def test_what_is_rendered_is_parsed_and_rendered_to_the_same() -> None:
    text = measured().render(SECTIONS)
    assert Document.parse(text).render(SECTIONS) == text


def test_sections_have_their_order_and_those_that_are_no_more_go() -> None:
    document = Document.parse(OLD)
    for section in (SECOND, FIRST):
        document.replace(section, "x\n", [], [], STAMP.format("abc"))
    headings = [line for line in document.render(SECTIONS).splitlines() if line.startswith("## ")]
    assert headings == ["## Targets", "## Help", "## A silent stream", "## Past one machine"]


def test_a_section_beside_the_suite_is_kept_to_the_letter() -> None:
    text = measured().render(SECTIONS)
    assert text.endswith(OLD[OLD.index("## Past one machine") :])


def test_what_failed_is_said_in_its_place_with_what_came_before() -> None:
    document = measured()
    failures = [Failure("base: expected weights, found none"), Failure("OSError: x")]
    document.replace(FIRST, "Half of it.\n", [], failures, STAMP.format("abc"))
    text = document.render(SECTIONS)
    assert "Half of it.\n\n**Not measured**: base: expected weights, found none\n" in text
    assert "**Not measured**: OSError: x\n" in text
    assert "| `--help`, the slowest command | 0.50 s | 0.30 s | not measured |  | abc |" in text


def test_the_introduction_says_what_is_not_of_the_commit_of_most() -> None:
    assert "Nothing is measured yet." in Document().render(SECTIONS)
    document = measured("abc")
    assert "is of commit abc, but for A silent stream (not measured)." in document.render(SECTIONS)
    document.replace(SECOND, "x\n", [], [], STAMP.format("abc"))
    assert "All that `make bench` measures is of commit abc." in document.render(SECTIONS)
    document.replace(SECOND, "x\n", [], [], STAMP.format("def+"))
    assert "is of commit abc, but for A silent stream (def+)." in document.render(SECTIONS)


def test_a_row_has_the_bounds_the_value_the_verdict_and_the_commit() -> None:
    row = target_row("help", Figure("help", 0.25, "`serve`"), "abc")
    assert row == "| `--help`, the slowest command | 0.50 s | 0.30 s | 0.25 s (`serve`) | aim reached | abc |"


def test_what_was_measured_is_read_from_the_rows() -> None:
    document = measured()
    document.replace(SECOND, "x\n", [], [], STAMP.format("abc"))
    rows = Document.parse(document.render(SECTIONS)).measured()
    assert rows == {"help": 0.25}  # the other one failed
