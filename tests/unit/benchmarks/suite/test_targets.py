"""Targets: reached, missed, and how values are written."""

from __future__ import annotations

import pytest

from benchmarks.suite.sections import SECTIONS
from benchmarks.suite.targets import TARGETS, Target

LOWER = Target("start", 2.0, 1.2, "{:.1f} s")
HIGHER = Target("streams", 48, 64, "{:.0f}")


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (LOWER, 1.0, "aim reached"),
        (LOWER, 1.2, "aim reached"),
        (LOWER, 1.21, "reached"),  # though it is written as 1.2
        (LOWER, 2.0, "reached"),
        (LOWER, 2.01, "missed"),
        (HIGHER, 80, "aim reached"),
        (HIGHER, 64, "aim reached"),
        (HIGHER, 63, "reached"),
        (HIGHER, 48, "reached"),
        (HIGHER, 47, "missed"),
        (HIGHER, 0, "missed"),
    ],
)
def test_a_value_reaches_the_aim_or_the_least_or_neither(target: Target, value: float, verdict: str) -> None:
    assert target.verdict(value) == verdict


def test_values_are_written_with_their_unit() -> None:
    assert LOWER.write(1.234) == "1.2 s"
    assert TARGETS["endurance"].write(-0.04) == "-0.0 %"
    assert TARGETS["memory, base"].write(439.6) == "440 MiB"


def test_every_target_is_measured_by_one_section_and_has_a_row_of_its_own() -> None:
    measured = [key for section in SECTIONS for key in section.targets]
    assert sorted(measured) == sorted(TARGETS)
    assert len({target.what for target in TARGETS.values()}) == len(TARGETS)
