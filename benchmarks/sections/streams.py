"""How many streams may speak at once before their results come late, with each transcriber."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.suite.load_search import ladder, loads_to_try
from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup, table
from benchmarks.suite.program import TRANSCRIBERS
from benchmarks.suite.speech import described, speech_clips
from benchmarks.suite.targets import TARGETS
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.measurement import measure as measure_streams
from emostream.streamer.bench.workload import make_workload
from emostream.streamer.errors import ConnectError

SECONDS: Final = 30.0
LIMIT_MS: Final = 100.0
BUDGET_S: Final = 450.0
"""Of the section. Each transcriber has an even share of what those before it left."""
_ONE_LOAD_S: Final = SECONDS + 4.0
"""With the start of the server, where it keeps up."""
_HEAD: Final = (
    "transcriber",
    "streams",
    "finals",
    "end to event p50 / p95 / p99, ms",
    "last speech to event p50 / p95, ms",
    "words / emotion, ms",
    "refused",
    "dropped, ms",
    "server, cores",
    "resident, MiB",
)


@dataclass(frozen=True, slots=True)
class Load:
    """One number of streams at once: what `emostream bench streams` reports of it."""

    streams: int
    figures: dict[str, Any]

    @property
    def p95_ms(self) -> float | None:
        after_end = self.figures["latency"][0]["after_end"]
        return None if after_end is None else float(after_end["p95"])

    @property
    def in_time(self) -> bool:
        """All streams were served, nothing of them was dropped, and p95 is below the limit."""
        served = not self.figures["refused"] and not self.figures["errors"]
        whole = self.figures["dropped_ms"] == 0
        return served and whole and self.p95_ms is not None and self.p95_ms < LIMIT_MS


def measure(setup: Setup) -> Iterator[Part]:
    clips, seconds = speech_clips(setup.speech), 5.0 if setup.smoke else SECONDS
    yield (
        f"{seconds:.0f} s of speech a stream with pauses of 0.8 to 2 s, a new server for each load, the "
        f"clients on the same cores: {described(setup.speech, clips)}. *End to event*: from the server's "
        f"decision that an utterance has ended to its result. A load is held where its p95 is under "
        f"{LIMIT_MS:.0f} ms, no stream is refused and no sound dropped. Tried are one stream, the highest "
        "load that was held when this was measured last, the next one, and those between as long as "
        f"{BUDGET_S:.0f} s for the section allow; the target's row names the highest that was held and the "
        "lowest above it that was not. Seconds are few for the suite's half hour: `emostream bench streams` "
        "runs longer.\n\n"
    )
    rows: list[list[str]] = []
    end = time.monotonic() + BUDGET_S
    for number, (name, arguments) in enumerate(TRANSCRIBERS.items()):
        if setup.smoke and name == "base":
            continue  # as tiny.en, only slower
        key = f"streams, {name}"
        try:
            loads: list[Load] = []
            share_s = max(0.0, end - time.monotonic()) / (len(TRANSCRIBERS) - number)
            for count in counts(setup, key, loads, time.monotonic() + share_s):
                yield Progress(f"{name}, {count} at once")
                loads.append(_load(arguments, clips, count, seconds))
                rows.append(_row(name, loads[-1]))
        except ConnectError as error:
            yield Failure(f"{name}: {error}")
            continue
        yield Figure(key, most_held(loads), bounds(loads))
    yield table(_HEAD, rows)


def counts(setup: Setup, key: str, loads: Sequence[Load], end: float) -> Iterator[int]:
    """Those to try, as far as they end by the moment `end` by how long one took so far; one at least."""
    if setup.smoke:
        yield 1
        return
    target = TARGETS[key]
    steps = ladder(int(target.at_least), int(target.aim))
    likely = int(setup.before.get(key, target.at_least))
    one_load_s = _ONE_LOAD_S
    for count in loads_to_try(steps, likely, lambda: loads[-1].in_time):
        began = time.monotonic()
        if loads and began + one_load_s > end:
            return
        yield count
        one_load_s = max(one_load_s, time.monotonic() - began)


def bounds(loads: Sequence[Load]) -> str:
    """What was tried above the highest load that was held, for the target's row."""
    above = [load.streams for load in loads if load.streams > most_held(loads)]
    return f"{min(above)} not" if above else "no more tried"


def most_held(loads: Sequence[Load]) -> int:
    return max((load.streams for load in loads if load.in_time), default=0)


def _load(arguments: Sequence[str], clips: Sequence[Samples], count: int, seconds: float) -> Load:
    loads = [make_workload(clips, seconds, stream=stream) for stream in range(count)]
    return Load(count, measure_streams(arguments, loads).figures())


def _row(name: str, load: Load) -> list[str]:
    figures = load.figures
    latency = figures["latency"][0]
    return [
        name,
        str(load.streams),
        str(latency["finals"]),
        _percentiles(latency["after_end"], ("p50", "p95", "p99")),
        _percentiles(latency["after_speech"], ("p50", "p95")),
        " / ".join(f"{latency['medians'].get(stage, 0.0):.0f}" for stage in ("asr", "emotion")),
        str(len(figures["refused"])),
        str(figures["dropped_ms"]),
        f"{figures['cores_busy']:.2f}",
        f"{figures['memory_mib']:.0f}",
    ]


def _percentiles(values: dict[str, float] | None, names: Sequence[str]) -> str:
    return "" if values is None else " / ".join(f"{values[name]:.1f}" for name in names)
