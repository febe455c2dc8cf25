"""`python -m tests.support.fake_gateway SCENARIO FOLDER ...`: a gateway without a cluster.

One replica with fake models is here; what goes wrong on the way is the scenario's. FOLDER: where a gateway
leaves word for the next one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

from emostream.streamer.clock import Clock
from emostream.streamer.cluster.serving.framing import Kind, pack, pipes, read
from emostream.streamer.cluster.serving.messages import (
    AnalyseCall,
    ClusterHealth,
    ClusterInfo,
    DescribeCall,
    DescribeReply,
    decode_answer,
    decode_call,
    encode,
)
from emostream.streamer.cluster.serving.replica import Replica
from emostream.streamer.config import Settings
from emostream.streamer.inference.engine import Engine
from tests.support.fakes import FakeRecognizer, FakeTranscriber

POISON_MS = 1_300
"""A clip of this length the models cannot bear."""


class Scenario:
    """lost: how many calls for an analysis are lost first, by now. calls: so many have come."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.calls = 0

    def happens(self, call: object) -> str:
        """What becomes of a call: answered, lost, unanswered; or this process ends."""
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


def load(settings: Settings, clock: Clock) -> Engine:
    return Engine(FakeTranscriber([POISON_MS]), FakeRecognizer([POISON_MS]), clock)


async def live(scenario: Scenario) -> None:
    replica = Replica(Settings(), load)
    frames, out = await pipes(os.dup(1))
    with closing(out):
        if scenario.name == "refuses":
            out.write(pack(Kind.REFUSED, 0, b"expected a cluster, got none"))
            return
        described = decode_answer(await replica.call(encode(DescribeCall()))).outcome
        assert isinstance(described, DescribeReply)
        out.write(pack(Kind.OPENED, 0, encode(ClusterInfo(described.model_info, 1))))
        calls: dict[int, asyncio.Task[None]] = {}

        async def answer(number: int, payload: bytes) -> None:
            match scenario.happens(decode_call(payload)):
                case "answered":
                    out.write(pack(Kind.ANSWER, number, await replica.call(payload)))
                case "lost":
                    out.write(pack(Kind.LOST, number, b"the replica died"))

        async def pulse() -> None:
            while scenario.name != "mute":
                out.write(pack(Kind.TOLD, 0, encode(ClusterHealth(1, None))))
                await asyncio.sleep(0.2)

        beating = asyncio.create_task(pulse())
        while (frame := await read(frames)) is not None:
            kind, number, payload = frame
            if kind is Kind.ASK:
                calls[number] = asyncio.create_task(answer(number, payload))
            else:
                (scenario.folder / f"forgotten {number}").touch()
        beating.cancel()


if __name__ == "__main__":
    asyncio.run(live(Scenario(sys.argv[1], Path(sys.argv[2]))))
    os._exit(0)  # the fake models' threads are nobody's business any more
