"""What a process has imported when a command is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.wav_file import write_speech

_PROGRAM = """
import sys
from emostream.streamer.cli.main import run
status = run(sys.argv[1:])
print(" ".join(sys.modules), file=sys.stderr)
sys.exit(status)
"""


def modules_of_replay(folder: Path, *options: str) -> set[str]:
    """The modules of a process that has replayed some speech, and judged an utterance of it."""
    recording = write_speech(folder / "speech.wav", 1, ms=2_000)
    command = [sys.executable, "-c", _PROGRAM, "replay", str(recording), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"final":true' in done.stdout
    return set(done.stderr.splitlines()[-1].split())
