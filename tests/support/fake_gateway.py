"""`python -m tests.support.fake_gateway SCENARIO FOLDER ...`: a gateway without a cluster.

It has one replica with fake models; the scenario decides which calls fail. FOLDER: where a gateway leaves
files for the next one and for the test.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

from emostream.streamer.clock import Clock
from emostream.streamer.cluster.serving.framing import FrameKind, open_pipes, pack_frame, read_frame
from emostream.streamer.cluster.serving.messages import (
    AnalyseCall,
    ClusterHealth,
    ClusterInfo,
    DescribeCall,
    DescribeReply,
    decode_call,
    decode_reply,
    encode,
)
from emostream.streamer.cluster.serving.replica import Replica
from emostream.streamer.config import Settings
from emostream.streamer.inference.engine import Engine
from tests.support.fakes import AdaptiveRecognizer, FakeSpeechDetector, FakeTranscriber

POISON_MS = 1_300
"""The models fail on a clip of this length."""


class Scenario:
    """What happens to calls. calls: the number of calls for an analysis so far."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.calls = 0

    def outcome(self, call: object) -> str:
        """The fate of a call: answered, lost or unanswered; or this process exits."""
        if not isinstance(call, AnalyseCall):
            return "unanswered" if self.name == "mute" else "answered"
        self.calls += 1
        (self.folder / f"call {os.getpid()} {self.calls} {call.priority} {int(call.words)}").touch()
        match self.name:
            case "loses the first" if self.calls == 1:
                return "lost"
            case "loses all":
                return "lost"
            case "mute":
                return "unanswered"
            case "slow words" if call.words:
                return "unanswered"
            case "dies once" if not (self.folder / "died").exists():
                (self.folder / "died").touch()
                os._exit(3)
        return "answered"


def load_fakes(settings: Settings, clock: Clock) -> Engine:
    return Engine(
        FakeTranscriber([POISON_MS]),
        AdaptiveRecognizer([POISON_MS]),
        clock,
        speech_detector=FakeSpeechDetector(),
    )


async def run(scenario: Scenario) -> None:
    replica = Replica(Settings(), load_fakes)
    frames, out = await open_pipes(os.dup(1))
    with closing(out):
        if scenario.name == "refuses":
            out.write(pack_frame(FrameKind.FAILED, 0, b"expected a cluster, got none"))
            return
        described = decode_reply(await replica.call(encode(DescribeCall()))).body
        assert isinstance(described, DescribeReply)
        out.write(pack_frame(FrameKind.READY, 0, encode(ClusterInfo(described.model_info, 1))))
        calls: dict[int, asyncio.Task[None]] = {}

        async def handle(number: int, payload: bytes) -> None:
            match scenario.outcome(decode_call(payload)):
                case "answered":
                    out.write(pack_frame(FrameKind.REPLY, number, await replica.call(payload)))
                case "lost":
                    out.write(pack_frame(FrameKind.CALL_LOST, number, b"the replica died"))

        async def report_health() -> None:
            while scenario.name != "mute":
                out.write(pack_frame(FrameKind.HEALTH, 0, encode(ClusterHealth(1, None))))
                await asyncio.sleep(0.2)

        reports = asyncio.create_task(report_health())
        while (frame := await read_frame(frames)) is not None:
            kind, number, payload = frame
            if kind is FrameKind.CALL:
                calls[number] = asyncio.create_task(handle(number, payload))
            else:
                (scenario.folder / f"cancelled {number}").touch()
        reports.cancel()


if __name__ == "__main__":
    asyncio.run(run(Scenario(sys.argv[1], Path(sys.argv[2]))))
    os._exit(0)  # the fake models' threads may still run
