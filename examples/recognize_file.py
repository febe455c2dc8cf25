"""Print the emotion of every utterance of a recording, without a server.

pip install emostream
python examples/recognize_file.py speech.wav
"""

from __future__ import annotations

import sys

import emostream


def main(path: str) -> None:
    for utterance in emostream.recognize(path):
        times = f"{utterance.start_ms / 1000:7.2f} {utterance.end_ms / 1000:7.2f}"
        print(f"{times}  {utterance.label:<8} {utterance.confidence:4.0%}  {utterance.text}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
