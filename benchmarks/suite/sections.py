"""The sections of results.md, in their order."""

from __future__ import annotations

from typing import Final

from benchmarks.suite.parts import Section


def _section(name: str, heading: str, seconds: float, smoke_seconds: float, *targets: str) -> Section:
    return Section(name, heading, f"benchmarks.sections.{name}:measure", seconds, smoke_seconds, targets)


SECTIONS: Final[tuple[Section, ...]] = (
    _section("starts", "Start", 80, 7, "ready, no words", "ready, base", "replay of 11 s"),
    _section("help", "Help", 40, 2, "help"),
    _section("memory", "Memory", 60, 8, "memory, no words", "memory, base"),
    _section("silence", "A silent stream", 130, 10, "silence"),
    _section(
        "streams",
        "Streams that speak",
        460,
        14,
        "streams, no words",
        "streams, tiny.en",
        "streams, base",
    ),
    _section("replay", "Replay against the bare models", 100, 6, "replay, no words", "replay, base"),
    _section(
        "recordings",
        "Recordings",
        300,
        10,
        "recordings, base, joined",
        "recordings, base, files",
        "recordings, tiny.en, joined",
        "recordings, tiny.en, files",
    ),
    _section("endurance", "Hours in one stream", 200, 6, "endurance"),
    _section("stages", "One utterance and one frame", 45, 5),
    _section("models", "The emotion model by size, precision and batch", 255, 6),
    Section(
        "scaling",
        "Past one machine",
        "benchmarks.sections.scaling:measure",
        900,
        900,
        in_suite=False,
    ),
)
"""Those in the suite take less than half an hour together on two cores (tests/unit/benchmarks)."""
