"""Send this machine's microphone to a server and print its emotions; Ctrl-C ends it.

pip install emostream            (on Linux also: apt install libportaudio2)
emostream serve &
python examples/microphone_client.py [ws://127.0.0.1:8765]
"""

from __future__ import annotations

import asyncio
import signal
import sys

from emostream import ClientAudio, Emotion, connect
from emostream.streamer.protocol.messages import Dropped


async def main(url: str = "ws://127.0.0.1:8765") -> None:
    audio = ClientAudio.microphone()
    # The audio ends, the last finals come, and with them the loop ends.
    signal.signal(signal.SIGINT, lambda *_: audio.stop())
    async with connect(url, audio=audio) as stream:
        async for event in stream:
            match event:
                case Emotion(final=False):
                    print(f"\r... {event.label:<8} {event.confidence:4.0%}", end="", flush=True)
                case Emotion():
                    print(f"\r{event.label:<8} {event.confidence:4.0%}  {event.text}")
                case Dropped(ms=ms):
                    print(f"\r{ms} ms of audio were lost")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
