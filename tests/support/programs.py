"""The `emostream` program as a person starts it: in a process of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

from emostream.streamer.cli import main

RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))
PROGRAM = [sys.executable, "-m", "emostream.streamer.cli.main"]

SELF_CONTAINED = ("--checkpoint", str(files("emostream.models") / "bundled"))
SMALL_MODEL = ("--asr", "none", *SELF_CONTAINED)
"""No words and the self-contained model, whatever is installed: for tests in which neither matters."""

# No test reaches for the network: what is not on this machine is not there. The width keeps rich
# from breaking lines that a test reads.
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "300", "NO_COLOR": "1"}

TIMEOUT_S = 300  # for a loaded machine; nothing here measures time


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )


def run_here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As `run`, in this process: for commands that end before they load a model or start a loop."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    root, own = logging.getLogger(), logging.getLogger("emostream")
    handlers, levels = root.handlers[:], (root.level, own.level)
    root.handlers = []
    try:
        with patch.dict(os.environ, ENVIRONMENT), redirect_stdout(out), redirect_stderr(err):
            status = main.run(list(arguments))
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        own.setLevel(levels[1])
    texts = []
    for stream in (out, err):
        stream.flush()
        buffer = stream.buffer
        assert isinstance(buffer, io.BytesIO)
        texts.append(buffer.getvalue().decode())
    return subprocess.CompletedProcess(arguments, status, *texts)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@dataclass
class Running:
    """A program that goes on; its stderr is read as it comes."""

    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)
    seen: list[str] = field(default_factory=list)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line of stderr, from here on, in which the pattern is found."""
        while (line := self.lines.get(timeout=TIMEOUT_S)) is not None:
            self.seen.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"expected a line with {pattern!r} on stderr, got {self.seen}")

    def interrupt(self) -> int:
        """Ctrl-C, and the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=TIMEOUT_S)


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    program = Running(process)
    assert process.stderr is not None
    reader = threading.Thread(target=_read, args=(process.stderr, program.lines))
    reader.start()
    try:
        yield program
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()
        assert process.stdout is not None
        process.stdout.close()


def _read(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def without(line: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
