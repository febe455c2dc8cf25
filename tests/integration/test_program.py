"""The commands as programs: bad input, help, replay, serve and client."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.programs import (
    RECORDING,
    SMALL_MODEL,
    TIMEOUT_S,
    json_lines,
    run,
    running,
    without,
)

BUNDLED = Path(str(files("emostream.models") / "bundled"))


def comparable(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events that do not depend on how fast the audio arrived: starts and finals."""
    kept = [line for line in lines if line["type"] == "speech_started" or line.get("final")]
    kept.sort(key=lambda line: (line["utterance"], line["type"]))
    return [without(line, ("seq", "timing")) for line in kept]


def bundled_without(folder: Path, name: str, content: bytes | None) -> str:
    """A copy of the bundled checkpoint with one file missing or replaced."""
    for file in BUNDLED.iterdir():
        if file.name != name:
            (folder / file.name).write_bytes(file.read_bytes())
        elif content is not None:
            (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["replay", "nowhere.wav"], "no such file", id="missing file"),
        pytest.param(["replay", "{tmp}/empty.wav"], "the file is empty", id="empty file"),
        pytest.param(["replay", "{tmp}/text.wav"], "no sound file", id="text file"),
        pytest.param(["replay", "{tmp}/sound.wav", "--device", "tpu"], "tpu", id="unknown device"),
        pytest.param(["replay", "{tmp}/sound.wav", "--asr", "colossal"], "colossal", id="unknown model"),
        pytest.param(
            ["replay", "{tmp}/sound.wav", "--asr", "none", "--checkpoint", "{tmp}/nothing"],
            "nothing",
            id="no checkpoint",
        ),
        pytest.param(
            ["replay", "{tmp}/sound.wav", "--asr", "none", "--checkpoint", "{tmp}/no-weights"],
            "model.safetensors",
            id="checkpoint without weights",
        ),
        pytest.param(
            ["replay", "{tmp}/sound.wav", "--asr", "none", "--checkpoint", "{tmp}/damaged"],
            "model.safetensors",
            id="checkpoint with damaged weights",
        ),
        pytest.param(["serve", "--config", "{tmp}/nowhere.toml"], "nowhere.toml", id="missing settings"),
        pytest.param(["serve", "--config", "{tmp}/wrong.toml"], "min_silence_ms", id="wrong settings"),
        pytest.param(["serve", "--config", "{tmp}/unknown.toml"], "loudness", id="unknown setting"),
        pytest.param(["serve", "--port", "70000"], "70000", id="no such port"),
        pytest.param(
            ["client", "{tmp}/sound.wav", "--url", "ws://127.0.0.1:9/"], "emostream serve", id="no server"
        ),
        pytest.param(["client", "nowhere.wav"], "no such file", id="client without file"),
    ],
)
def test_bad_input_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound\n" * 50)
    (tmp_path / "wrong.toml").write_text("[segmenter]\nmin_silence_ms = 10\n")
    (tmp_path / "unknown.toml").write_text("[segmenter]\nloudness = 11\n")
    soundfile.write(tmp_path / "sound.wav", np.zeros(1_600, np.float32), 16_000)
    for name, content in (("no-weights", None), ("damaged", b"\x00" * 100)):
        (tmp_path / name).mkdir()
        bundled_without(tmp_path / name, "model.safetensors", content)
    done = run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    if "Usage" not in done.stderr:  # the option parser draws a box of its own
        errors = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
        assert len(errors) == 1
        assert "expected" in errors[0]


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", *SMALL_MODEL, "--port", str(port))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"port {port}" in done.stderr


def test_silence_is_no_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(48_000, np.float32), 16_000)
    done = run("replay", str(tmp_path / "silence.wav"), *SMALL_MODEL)
    assert done.returncode == 0
    assert "no utterances in 3.0 s of audio" in done.stderr
    assert [line["type"] for line in json_lines(done.stdout)] == ["closed"]


def test_a_bad_file_does_not_affect_a_good_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(48_000, np.float32), 16_000)
    done = run("replay", "nowhere.wav", str(tmp_path / "silence.wav"), *SMALL_MODEL)
    assert done.returncode == 1
    (line,) = json_lines(done.stdout)
    assert (line["file"], line["type"]) == (str(tmp_path / "silence.wav"), "closed")
    assert "nowhere.wav" in done.stderr


@pytest.mark.parametrize(
    "command", ["demo", "live", "serve", "replay", "client", "align", "devices", "doctor"]
)
def test_every_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Usage: emostream {command}" in done.stdout


@pytest.mark.short
def test_the_utterances_and_words_of_the_bundled_recording(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run("replay", str(RECORDING), "--asr", "pocketsphinx", "--output", str(out))
    assert done.returncode == 0, done.stderr
    finals = [line for line in json_lines(out.read_text()) if line["type"] == "emotion"]
    assert len(finals) >= 4
    for final in finals:
        assert final["final"] is True
        assert sum(final["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert final["label"] == max(final["probabilities"], key=final["probabilities"].get)
        assert final["confidence"] == final["probabilities"][final["label"]]
        assert final["words"]
        for word in final["words"]:
            assert final["start_ms"] - 250 <= word["start_ms"] <= word["end_ms"] <= final["end_ms"] + 250


def test_serve_and_client_give_the_results_of_replay() -> None:
    """Live equals replay: the bundled recording over a socket and from the file, with real models."""
    replayed = json_lines(run("replay", str(RECORDING), "--asr", "pocketsphinx").stdout)
    with running("serve", "--asr", "pocketsphinx", "--port", "0") as server:
        url = server.wait_for(r"Listening on (http://\S+)")[1].replace("http", "ws") + "/v1/stream"
        done = run("client", str(RECORDING), "--fast", "--url", url)
        assert server.interrupt() == 0
    assert done.returncode == 0, done.stderr
    streamed = json_lines(done.stdout)
    assert comparable(streamed) == comparable(replayed)
    assert [line["seq"] for line in streamed] == list(range(1, len(streamed) + 1))
    assert streamed[-1]["type"] == "closed"
    final = next(line for line in streamed if line["type"] == "emotion")
    assert set(final) == {
        "type", "seq", "utterance", "final", "start_ms", "end_ms", "reason", "label", "confidence",
        "reliable", "uncertain", "baseline_utterances", "probabilities",
        "audio_only", "text_only", "text", "language", "words", "timing",
        "stable_chars", "channel",
    }  # fmt: skip
    assert set(final["timing"]) == {
        "endpoint_ms",
        "lead_ms",
        "queue_ms",
        "asr_ms",
        "align_ms",
        "emotion_ms",
        "total_ms",
    }


def test_ctrl_c_sends_the_finals_first() -> None:
    """The server is interrupted in mid-speech: the client still gets the utterance, and waits for another
    server, since the recording goes on; interrupted itself, it ends.
    """
    with running("serve", *SMALL_MODEL, "--port", "0") as server:
        url = server.wait_for(r"Listening on (http://\S+)")[1].replace("http", "ws") + "/v1/stream"
        with running("client", str(RECORDING), "--url", url) as client:
            assert client.process.stdout is not None
            seen = [json.loads(client.process.stdout.readline())]
            assert seen[0]["type"] == "speech_started"
            assert server.interrupt() == 0
            client.wait_for("reconnect")
            client.interrupt()
            seen += json_lines(client.process.stdout.read())
    assert [line["type"] for line in seen] == ["speech_started", "emotion"]
    assert seen[1]["reason"] == "end_of_stream"


def test_the_doctor_reports_no_problem() -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for what in ("python", "emotion model", "Whisper", "PocketSphinx", "VAD silero", "microphone"):
        assert what in done.stdout


def test_an_existing_recording_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.zeros(1_600, np.float32), 16_000)
    before = path.read_bytes()
    done = run("replay", str(path), "--output", str(path), *SMALL_MODEL)
    assert done.returncode == 2
    assert path.read_bytes() == before


def test_an_interrupted_replay_reports_what_is_missing() -> None:
    arguments = ("replay", str(RECORDING), str(RECORDING), "--pace", "realtime", *SMALL_MODEL)
    with running(*arguments) as replay:
        assert replay.process.stdout is not None
        assert json.loads(replay.process.stdout.readline())["type"] == "speech_started"
        assert replay.interrupt() == 130
        replay.wait_for("interrupted; 1 of 2 files not begun")
        rest = json_lines(replay.process.stdout.read())
    assert [line["type"] for line in rest] == ["emotion", "closed"]


def test_exiting_while_a_model_computes_does_not_crash(tmp_path: Path) -> None:
    """Python's normal exit would kill the model's thread inside C++ and abort the process."""
    program = (
        "import asyncio, sys\n"
        "import torch\n"
        "from emostream.streamer.cli import main\n"
        "from emostream.streamer.inference.model_worker import ModelWorker\n"
        "def compute():\n"
        "    x = torch.randn(2000, 2000)\n"
        "    while True:\n"
        "        x = torch.tanh(x @ x)\n"
        "async def leave():\n"
        "    thread = ModelWorker('busy')\n"
        "    task = asyncio.create_task(thread.run(compute))\n"
        "    while not ModelWorker.any_busy():\n"
        "        await asyncio.sleep(0)\n"
        "    task.cancel()\n"
        "main.app = lambda *_, **__: asyncio.run(leave())\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("dtype", "how"), [("float32", "ONNX Runtime"), ("bfloat16", "bfloat16")])
def test_the_dtype_of_the_encoders_is_an_option(dtype: str, how: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000, np.float32), 16_000)
    silence = str(tmp_path / "silence.wav")
    own = str(
        files("emostream.models") / "bundled"
    )  # the model with a graph, whatever encoders are installed
    done = run("replay", silence, "--asr", "none", "--checkpoint", own, "--device", "cpu", "--dtype", dtype)
    assert done.returncode == 0, done.stderr
    assert f"cpu, {how})" in done.stderr
