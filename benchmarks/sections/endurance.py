"""What hours of sound leave in a server's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.endurance import HOURS, measure_endurance
from benchmarks.suite.parts import Figure, Part, Progress, Setup
from benchmarks.suite.speech import described, speech_clips

MOST_S: Final = 190.0
"""Of the wall clock: what is not sent by then is left out, so that the suite stays within its half hour."""


def measure(setup: Setup) -> Iterator[Part]:
    clips = speech_clips(setup.speech)
    hours, most_s = (0.05, 10.0) if setup.smoke else (HOURS, MOST_S)
    yield Progress(f"{hours:g} hours, or what is sent in {most_s:.0f} s")
    endurance = measure_endurance(clips, hours, most_s)
    if endurance.hours < 0.99 * hours:
        yield (
            f"As much of {hours:g} hours as could be sent in the {most_s:.0f} s that the suite gives it; "
            f"`python -m benchmarks.endurance --hours {hours:g}` sends all. "
        )
    yield endurance.text(described(setup.speech, clips))
    yield Figure("endurance", endurance.growth(), f"{endurance.hours:.1f} hours")
