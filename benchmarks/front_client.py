"""`python -m benchmarks.front_client URL SPEECH SECONDS FIRST STOP STEP`: some of the streams of `front`.

Prints `ready`, waits for a line, streams at natural pace and prints its report.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from emostream.streamer.bench.load_generator import StreamRun, run_streams
from emostream.streamer.bench.workload import make_workload, read_clips
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SAMPLE_RATE_HZ

APART_S: Final = 0.02
"""Between two streams' beginnings, over all clients."""
_LONGER_S: Final = 10.0  # a load ends with a whole clip: cut from a longer one, all are of one length


@dataclass(frozen=True, slots=True)
class ClientReport:
    """Of all streams of one client process. after_end_s: of finals that silence ended, from the decision to
    the event. refused: streams that were rejected or closed.
    """

    finals: int
    interim_results: int
    after_end_s: list[float]
    pings_s: list[float]
    dropped_ms: int
    refused: int
    errors: int

    @classmethod
    def of(cls, runs: Sequence[StreamRun]) -> ClientReport:
        finals = [final for run in runs for final in run.finals]
        return cls(
            finals=len(finals),
            interim_results=sum(run.interim_results for run in runs),
            after_end_s=[final.after_end_s for final in finals if final.event.reason == "silence"],
            pings_s=[ping for run in runs for ping in run.pings_s],
            dropped_ms=sum(run.totals.dropped_ms for run in runs if run.totals is not None),
            refused=sum(run.refused is not None for run in runs),
            errors=sum(len(run.errors) for run in runs),
        )


def main() -> None:
    url, speech, seconds, *numbers = sys.argv[1:]
    streams = range(*map(int, numbers))
    clips = read_clips([Path(speech)])
    length_s = float(seconds)
    loads = [
        make_workload(clips, length_s + _LONGER_S, stream=stream).samples[: round(length_s * SAMPLE_RATE_HZ)]
        for stream in streams
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    runs = asyncio.run(run_streams(url, loads, WallClock(), stagger_s=APART_S * streams.step))
    print(json.dumps(asdict(ClientReport.of(runs))))


if __name__ == "__main__":
    main()
