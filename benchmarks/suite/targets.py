"""What is to be reached on two cores, and whether a measured value does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["aim reached", "reached", "missed"]


@dataclass(frozen=True, slots=True)
class Target:
    """at_least: what has to be reached. aim: what is wanted. form: how a value is written. A higher value is
    better where the aim is the higher of both.
    """

    what: str
    at_least: float
    aim: float
    form: str

    def verdict(self, value: float) -> Verdict:
        """Of the value as it was measured, not as it is rounded for the table."""
        sign = 1.0 if self.aim > self.at_least else -1.0
        if sign * value >= sign * self.aim:
            return "aim reached"
        return "reached" if sign * value >= sign * self.at_least else "missed"

    def write(self, value: float) -> str:
        return self.form.format(value)


_SECONDS: Final = "{:.2f} s"
_MEMORY: Final = "{:.0f} MiB"
_RATIO: Final = "{:.2f}"
_STREAMS: Final = "{:.0f}"

TARGETS: Final[dict[str, Target]] = {
    "ready, no words": Target("`serve`, start to ready, no words", 2.0, 1.2, _SECONDS),
    "ready, base": Target("`serve`, start to ready, Whisper base", 3.0, 2.0, _SECONDS),
    "replay of 11 s": Target("`replay` of 11 s, whole command, no words", 2.5, 1.5, _SECONDS),
    "help": Target("`--help`, the slowest command", 0.5, 0.3, _SECONDS),
    "memory, no words": Target("memory, serving one stream, no words", 350, 250, _MEMORY),
    "memory, base": Target("memory, serving one stream, Whisper base", 550, 450, _MEMORY),
    "silence": Target("silent open stream, against the library's bare receipt", 1.5, 1.2, _RATIO),
    "streams, no words": Target("speaking streams with p95 under 100 ms, no words", 48, 64, _STREAMS),
    "streams, tiny.en": Target("speaking streams with p95 under 100 ms, Whisper tiny.en", 24, 32, _STREAMS),
    "streams, base": Target("speaking streams with p95 under 100 ms, Whisper base", 12, 16, _STREAMS),
    "replay, no words": Target("replay against the bare models, no words", 0.90, 0.95, _RATIO),
    "replay, base": Target("replay against the bare models, Whisper base", 0.95, 1.0, _RATIO),
    **{
        f"recordings, {whisper}, {form}": Target(
            f"{what}, against faster-whisper's batched pipeline, {whisper}", 1.1, 0.9, _RATIO
        )
        for form, what in (("joined", "recordings joined into one"), ("files", "recordings, a file each"))
        for whisper in ("base", "tiny.en")
    },
    "endurance": Target("memory after hours against after ten minutes", 2.0, 1.0, "{:+.1f} %"),
}
"""Key -> target, in the order of the table."""
