"""Send a recording to a server and print the emotion of every utterance.

pip install emostream
emostream serve &
python examples/file_client.py speech.wav [ws://127.0.0.1:8765]
"""

from __future__ import annotations

import asyncio
import sys

from emostream import Emotion, connect
from emostream.streamer.client import Reconnected
from emostream.streamer.protocol.messages import Error


async def main(path: str, url: str = "ws://127.0.0.1:8765") -> None:
    async with connect(url, audio=path) as stream:
        async for event in stream:
            match event:
                case Emotion(final=True):
                    times = f"{event.start_ms / 1000:7.2f} {event.end_ms / 1000:7.2f}"
                    print(f"{times}  {event.label:<8} {event.confidence:4.0%}  {event.text}")
                case Error(message=message):
                    print(message, file=sys.stderr)
                case Reconnected(resumed=resumed):
                    print("reconnected" if resumed else "a fresh session", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
