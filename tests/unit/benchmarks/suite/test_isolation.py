"""A section in a process of its own: its parts, and how it may end."""

from __future__ import annotations

import psutil
import pytest

from benchmarks.suite.isolation import run_isolated
from benchmarks.suite.parts import Failure, Figure, Part, Progress, Section, Setup

SETUP = Setup(None, True, "stamp")


def run(name: str) -> list[Part | None]:
    section = Section(name, name, f"tests.support.benchmark_sections:{name}", 1.0, 1.0)
    return list(run_isolated(section, SETUP))


def test_parts_come_as_they_are_yielded() -> None:
    assert run("good") == [Progress("measuring"), "smoke: True\n", Figure("help", 0.25, "a note")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raising", "ValueError: expected X, got Y"),
        ("crashing", "its process ended with exit status 7"),
    ],
)
def test_what_came_before_a_failure_is_kept(name: str, reason: str) -> None:
    assert run(name) == ["before\n", Failure(reason)]


def test_a_section_that_does_not_exist_fails() -> None:
    assert run("missing") == [
        Failure("AttributeError: module 'tests.support.benchmark_sections' has no attribute 'missing'")
    ]


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Section, "limit_s", lambda self, smoke: 1.5)
    section = Section("hanging", "", "tests.support.benchmark_sections:hanging", 1.0, 1.0)
    pid, *nothing, failure = run_isolated(section, SETUP, look_every_s=0.5)
    assert failure == Failure("no result within 2 s")
    assert set(nothing) == {None}
    assert isinstance(pid, str)
    psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], timeout=5.0)
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
