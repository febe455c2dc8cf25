"""The examples of voice agents run as their docstrings describe, against a server with fake models."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from emostream.models import LABELS
from emostream.streamer.audio.frontend import encode_pcm
from tests.support.fakes import FakeTranscriber, silence, voice
from tests.support.serving import serving
from tests.support.shared import REPO


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """One utterance."""
    samples = np.concatenate([silence(300), voice(1_000), silence(900)])
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(encode_pcm(samples[:, None], "pcm_s16le"))
    return tmp_path / "speech.wav"


async def run_example(name: str, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(REPO / "examples" / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_a_pipecat_pipeline_prints_a_line_per_utterance(speech: Path) -> None:
    pytest.importorskip("pipecat", reason="not installed: pip install 'emostream[pipecat]'")
    async with serving(transcriber=FakeTranscriber()) as server:
        status, out, _ = await run_example(
            "pipecat_emotions.py", str(speech), f"ws://127.0.0.1:{server.port}"
        )
    assert status == 0
    (line,) = out.splitlines()
    assert line.split()[2] in LABELS


async def test_a_pipecat_pipeline_without_a_server_goes_on_and_says_why(speech: Path) -> None:
    pytest.importorskip("pipecat", reason="not installed: pip install 'emostream[pipecat]'")
    status, out, error = await run_example("pipecat_emotions.py", str(speech), "ws://127.0.0.1:9")
    assert (status, out) == (0, "")
    assert "expected an emostream server at ws://127.0.0.1:9" in error


async def test_a_livekit_agents_language_model_is_told(speech: Path) -> None:
    pytest.importorskip("livekit.agents", reason="not installed: pip install 'emostream[livekit]'")
    async with serving(transcriber=FakeTranscriber()) as server:
        status, out, _ = await run_example(
            "livekit_emotions.py", str(speech), f"ws://127.0.0.1:{server.port}"
        )
    assert status == 0
    system, told, user = out.split("\n\n")[0].splitlines()
    assert system.strip() == "system: You are kind."
    assert told.strip().startswith("system: The user sounds ")
    assert user.strip().endswith("milliseconds")
