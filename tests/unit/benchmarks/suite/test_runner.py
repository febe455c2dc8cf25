"""Sections one after the other: time left, and a failure that ends only its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.suite.parts import Failure, Figure, Page, Part, Progress, Section, Setup
from benchmarks.suite.runner import TimeLeft, duration, run_sections

SETUP = Setup(None, False, "stamp")
SECTIONS = [Section(name, name.upper(), "x:y", seconds, 1.0) for name, seconds in (("a", 60.0), ("b", 240.0))]


def test_the_time_left_follows_the_speed_so_far() -> None:
    left = TimeLeft([10.0, 20.0, 30.0])
    assert left.left_s(0.0) == 60.0
    assert left.left_s(4.0) == 56.0
    assert left.left_s(15.0) == 50.0  # late: at least the later ones
    left.finish(20.0)  # twice as long as expected
    assert left.left_s(0.0) == 100.0
    left.finish(40.0)
    left.finish(60.0)
    assert left.left_s(0.0) == 0.0


def test_results_hold_what_was_yielded_and_a_failure_ends_only_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(section: Section, setup: Setup) -> Iterator[Part | None]:
        yield Progress("measuring")
        yield None
        yield f"text of {section.name}, "
        if section.name == "a":
            yield Failure("it broke")
            return
        yield Figure("help", 0.2)
        yield Page("model.md", "page")
        yield "more"

    moments = iter(float(10 * number) for number in range(100))
    first, second = run_sections(SECTIONS, SETUP, run, lambda: next(moments))
    assert (first.text, first.failures) == ("text of a, ", [Failure("it broke")])
    assert (second.text, second.failures) == ("text of b, more", [])
    assert (second.figures, second.pages) == ([Figure("help", 0.2)], [Page("model.md", "page")])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "[1/2] a: takes about 60 s; 5 min left of the run"
    assert said[1] == "[1/2] a: measuring; 5 min left of the run"
    assert said[2].startswith("[1/2] a: measuring; ")  # nothing came for a while
    assert said[3] == "[1/2] a: not measured: it broke after 30 s"
    assert said[-1].startswith("[2/2] b: done after ")


def test_durations() -> None:
    assert [duration(one) for one in (5.2, 89.0, 90.0, 1_500.0)] == ["5 s", "89 s", "2 min", "25 min"]
