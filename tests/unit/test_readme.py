"""What the README shows is true: its settings load, its program runs, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.cli.main import app
from emostream.streamer.config import load_settings
from tests.support.programs import ENVIRONMENT, PATIENCE_S, running
from tests.support.shared import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_its_settings_file_loads(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    path = tmp_path / "emostream.toml"
    path.write_text(example, encoding="utf-8")
    settings = load_settings(path)
    assert settings.segmenter.min_silence_ms == 400
    assert settings.segmenter.max_utterance_ms == 15_000


def test_its_program_prints_labels(tmp_path: Path) -> None:
    """The example as it stands, on the first sentence of the bundled recording, at another port."""
    sound = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))
    (tmp_path / "speech.raw").write_bytes(encode_pcm(sound[: 4 * 16_000, None], "pcm_s16le"))
    (program,) = blocks("python")
    with running("serve", "--asr", "none", "--port", "0") as server:
        url = server.wait_for(r"Listening on http://(\S+)")[1]
        done = subprocess.run(
            [sys.executable, "-c", program.replace("127.0.0.1:8765", url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=ENVIRONMENT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert re.match(r"(angry|happy|sad|neutral) 0\.\d+", done.stdout)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`emostream ([a-z]+)", README))))
def test_its_commands_exist(command: str) -> None:
    commands = {one.callback.__name__ for one in app.registered_commands if one.callback}
    assert command in commands | {group.name for group in app.registered_groups}


@pytest.mark.parametrize("target", ["install", "demo", "test", "test-ray", "check", "bench"])
def test_the_makefile_has_its_targets(target: str) -> None:
    assert re.search(rf"^{target}:", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
