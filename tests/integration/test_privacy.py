"""Nothing leaves the machine, and nothing is written that the README does not name."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.programs import ENVIRONMENT, PROGRAM, RECORDING, SMALL_MODEL

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to watch system calls")

LOOPBACK = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"|sin_addr=inet_addr\("0\.0\.0\.0"\)')
READY = re.compile(r"https?://127\.0\.0\.1:\d+")


def environment(home: Path) -> dict[str, str]:
    """A user's own: outside CI, where libraries keep quiet by themselves, and with no choice made for any."""
    choices = {"CI", "GITHUB_ACTIONS", "DO_NOT_TRACK", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    choices |= {"ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "HF_HOME"}
    kept = {name: value for name, value in ENVIRONMENT.items() if name not in choices}
    # Whisper's weights may be joined in the cache of models, which the documentation names.
    own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "HF_HOME": str(home.parent / "models")}
    return kept | own | {"PYTHONDONTWRITEBYTECODE": "1"}


class Watched:
    """A finished run of the program. connections: requests beyond loopback. files: what lies in the home."""

    def __init__(self, home: Path, arguments: list[str], changes: Mapping[str, str] | None = None) -> None:
        log = home.parent / "system-calls.txt"
        (home / "tmp").mkdir(parents=True)
        command = [
            "strace",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-e",
            "trace=connect,sendto,sendmsg",
            "-o",
            str(log),
            *PROGRAM,
        ]
        self.messages: list[str] = []
        with subprocess.Popen(
            [*command, *arguments],
            env=environment(home) | dict(changes or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.messages.append(line)
                if READY.search(line):  # a server: it has loaded everything, and would go on for ever
                    os.killpg(process.pid, signal.SIGTERM)
        calls = log.read_text(encoding="utf-8", errors="replace").splitlines()
        internet = [call for call in calls if "sa_family=AF_INET" in call]
        self.connections = [call for call in internet if not LOOPBACK.search(call)]
        self.files = sorted(
            str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() or path.is_socket()
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", str(RECORDING), "--asr", "none"],
        ["replay", str(RECORDING), "--asr", "pocketsphinx"],
        ["serve", *SMALL_MODEL, "--port", "0"],
        ["demo", *SMALL_MODEL, "--port", "0"],
        ["doctor"],
    ],
    ids=["replay", "replay with words", "serve", "demo", "doctor"],
)
def test_nothing_is_sent_and_nothing_is_written(tmp_path: Path, arguments: list[str]) -> None:
    watched = Watched(tmp_path / "home", arguments)
    assert watched.messages, "the program prints that it runs"
    assert watched.connections == []
    assert watched.files == []


def test_the_watch_notices_a_library_that_reports_usage(tmp_path: Path) -> None:
    """With the user's consent ONNX Runtime writes a device id and a queue: the watch can fail."""
    version = tuple(int(part) for part in metadata.version("onnxruntime").split(".")[:2])
    if version < (1, 29):
        pytest.skip("this ONNX Runtime reports nothing by default")
    arguments = ["replay", str(RECORDING), *SMALL_MODEL]
    watched = Watched(tmp_path / "home", arguments, {"ORT_DISABLE_TELEMETRY": "0"})
    assert any("onnxruntime" in file for file in watched.files)
