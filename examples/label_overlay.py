"""Keep the present emotion in a text file, for OBS ("Text", "Read from file") or any other overlay.

The server has a page with the words too, for a browser source: /overlay, see docs/page.md.

emostream live &
python examples/label_overlay.py label.txt [ws://127.0.0.1:8765/v1/stream [microphone]]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from emostream import subscribe
from emostream.streamer.protocol.messages import Emotion


async def main(path: str, url: str = "ws://127.0.0.1:8765/v1/stream", stream: str = "microphone") -> None:
    async for event in subscribe(url, stream):
        if isinstance(event, Emotion):
            show(event, Path(path))


def show(event: Emotion, path: Path) -> None:
    mark = "?" if event.uncertain or not event.final else ""
    path.write_text(f"{event.label}{mark} {event.confidence:.0%}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
