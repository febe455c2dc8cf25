"""The README's two programs run as they are printed, on the first sentence of the bundled recording."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from tests.support.programs import ENVIRONMENT, SMALL_MODEL, TIMEOUT_S, running
from tests.support.shared import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")
LABEL = r"(angry|happy|sad|neutral)"


def program(importing: str) -> str:
    found: str
    (found,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if importing in code)
    return found


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    samples = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))[: 4 * 16_000]
    with wave.open(str(tmp_path / "speech.wav"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(encode_pcm(samples[:, None], "pcm_s16le"))
    return tmp_path / "speech.wav"


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_prints_labels(speech: Path) -> None:
    with running("serve", *SMALL_MODEL, "--port", "0") as server:
        url = server.wait_for(r"Listening on http://(\S+)")[1]
        out = run(program("connect(").replace("127.0.0.1:8765", url), speech.parent)
    assert re.match(rf"{LABEL} 0\.\d+", out)


def test_the_offline_program_prints_labels(speech: Path) -> None:
    code = program("import recognize").replace("interview.m4a", speech.name)
    assert re.match(rf"\d+ {LABEL} 0\.\d+", run(code, speech.parent))
