"""Sections one after the other, with what is left of the time on stderr; a failure ends only its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.suite.parts import Failure, Figure, Page, Part, Progress, Section, Setup

RunSection = Callable[[Section, Setup], Iterator[Part | None]]


@dataclass(slots=True)
class SectionResult:
    """What a section yielded."""

    section: Section
    text: str = ""
    figures: list[Figure] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    took_s: float = 0.0

    def add(self, part: Part) -> None:
        match part:
            case str():
                self.text += part
            case Figure():
                self.figures.append(part)
            case Page():
                self.pages.append(part)
            case Failure():
                self.failures.append(part)


@dataclass(slots=True)
class TimeLeft:
    """How long a run still takes: what its sections usually take, by the speed of those that are done."""

    expected_s: Sequence[float]
    done: int = 0
    took_s: float = 0.0

    def finish(self, took_s: float) -> None:
        self.done += 1
        self.took_s += took_s

    def left_s(self, elapsed_s: float) -> float:
        """elapsed_s: of the section that is running."""
        before = sum(self.expected_s[: self.done])
        pace = self.took_s / before if before else 1.0
        current, *later = [pace * one for one in self.expected_s[self.done :]] or [0.0]
        return max(current - elapsed_s, 0.0) + sum(later)


def run_sections(
    sections: Sequence[Section], setup: Setup, run: RunSection, now: Callable[[], float] = time.monotonic
) -> Iterator[SectionResult]:
    """The result of each as soon as it is there."""
    left = TimeLeft([section.expected_s(setup.smoke) for section in sections])
    for number, section in enumerate(sections, 1):
        began, doing = now(), "starting"
        result = SectionResult(section)
        label = f"[{number}/{len(sections)}] {section.name}"
        expected = duration(section.expected_s(setup.smoke))
        _say(f"{label}: takes about {expected}; {duration(left.left_s(0.0))} left of the run")
        for part in run(section, setup):
            if isinstance(part, Progress):
                doing = part.doing
            elif part is not None:
                result.add(part)
            if part is None or isinstance(part, Progress):
                _say(f"{label}: {doing}; {duration(left.left_s(now() - began))} left of the run")
        result.took_s = now() - began
        left.finish(result.took_s)
        outcome = f"not measured: {result.failures[-1].reason}" if result.failures else "done"
        _say(f"{label}: {outcome} after {duration(result.took_s)}")
        yield result


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
