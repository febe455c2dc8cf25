"""What takes how long while `emostream serve` starts: `python -m benchmarks.start --asr base`.

Two starts. In the first, functions of the program are timed in the process that serves; in the second, Python
times its imports.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

STAGES: Final = {
    "emostream.streamer.cli.serve": ("serve",),
    "emostream.streamer.server.loading": ("LoadingServer.__aenter__",),
    "emostream.streamer.inference.load_models": ("load_engine", "load_speech_check"),
    "emostream.models.checkpoint_files": ("resolve_checkpoint", "read_weights", "read_tokenizer"),
    "emostream.models.loaders": ("load_recognizer", "load_transcriber"),
    "emostream.models.encoders.ctranslate2_weights": ("read_encoder", "encoder_state"),
    "emostream.models.graphs.sessions": ("open_session",),
    "emostream.models.recognition": ("Recognition.warm_up",),
    "emostream.models.transcription.packaged_whisper": ("find_packaged_whisper",),
    "emostream.models.transcription.hub": ("find_cached_whisper",),
    "emostream.models.transcription.whisper_loader": ("load_whisper_model",),
    "emostream.models.transcription.whisper": ("WhisperTranscriber.warm_up",),
    "emostream.streamer.server.app": ("Server.__aenter__",),
    "emostream.streamer.inference.engine": ("Engine.warm_up",),
}
"""Module -> the functions of it that are timed."""

_CHILD: Final = "--timed"
_LOOK_EVERY_S: Final = 0.01
_IMPORT: Final = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")
_SHOWN_PACKAGES: Final = 12


@dataclass(frozen=True, slots=True)
class Stage:
    """began_s, ended_s: since the start of the process. cpu_s: of the thread, None of a coroutine."""

    name: str
    thread: str
    began_s: float
    ended_s: float
    cpu_s: float | None


def trace(arguments: Sequence[str]) -> Iterator[str]:
    """Markdown. arguments: of `emostream serve`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stages"
        page_s, ready_s = _start([sys.executable, "-m", "benchmarks.start", _CHILD, str(file)], arguments)
        stages = [Stage(*json.loads(line)) for line in file.read_text().splitlines()]
    command = " ".join(["emostream serve", *arguments])
    yield f"`{command}`: page after {page_s:.2f} s, ready after {ready_s:.2f} s.\n\n"
    yield "| from s | to s | took s | CPU s of the thread | thread | what |\n|---|---|---|---|---|---|\n"
    for stage in sorted(stages, key=lambda one: one.began_s):
        took_s = stage.ended_s - stage.began_s
        cpu = "" if stage.cpu_s is None else f"{stage.cpu_s:.2f}"
        yield (
            f"| {stage.began_s:.2f} | {stage.ended_s:.2f} | {took_s:.2f} | {cpu} | {stage.thread} | "
            f"{stage.name} |\n"
        )
    lines: list[str] = []
    _start([sys.executable, "-X", "importtime", "-m", "emostream.streamer.cli.main"], arguments, lines)
    yield "\n| package | modules | ms to import |\n|---|---|---|\n"
    spent = _by_package(lines)
    for package, (count, took_us) in sorted(spent.items(), key=lambda one: -one[1][1])[:_SHOWN_PACKAGES]:
        yield f"| {package} | {count} | {took_us / 1_000:.0f} |\n"


def _by_package(lines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Of Python's import times: package -> modules and microseconds."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for line in lines:
        if (match := _IMPORT.match(line)) is not None:
            package = match[2].partition(".")[0]
            count, took_us = found[package]
            found[package] = (count + 1, took_us + int(match[1]))
    return found


def _start(
    program: Sequence[str], arguments: Sequence[str], lines: list[str] | None = None
) -> tuple[float, float]:
    """Seconds to the page and to readiness of a server, which is then ended. lines: takes its output."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept: list[str] = [] if lines is None else lines
    began = time.perf_counter()
    process = subprocess.Popen(
        [*program, "serve", "--port", str(port), *arguments], stderr=subprocess.PIPE, text=True
    )
    reading = threading.Thread(target=lambda: kept.extend(process.stderr or ()))
    reading.start()
    page_s = None
    try:
        while (status := _status(port)) != 200:
            if process.poll() is not None:
                raise RuntimeError("expected a server, it ended with: " + "".join(kept[-5:]))
            if status is not None and page_s is None:
                page_s = time.perf_counter() - began
            time.sleep(_LOOK_EVERY_S)
        ready_s = time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()
        reading.join()
    return ready_s if page_s is None else page_s, ready_s


def _status(port: int) -> int | None:
    """Of its health; None where nothing answers yet."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return None


class _TimesStages(importlib.abc.MetaPathFinder):
    """Replaces the functions of `STAGES` in their modules, before others import them from there."""

    def __init__(self, note: Callable[[Stage], None]) -> None:
        self._note = note

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in STAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_time(module: ModuleType) -> None:
            execute(module)
            for qualified in STAGES[name]:
                self._replace(module, qualified)

        spec.loader.exec_module = execute_and_time  # type: ignore[method-assign]
        return spec

    def _replace(self, module: ModuleType, qualified: str) -> None:
        owner: Any = module
        *path, last = qualified.split(".")
        for part in path:
            owner = getattr(owner, part)
        function = owner.__dict__[last]
        timed = (
            self._coroutine(qualified, function)
            if inspect.iscoroutinefunction(function)
            else self._plain(qualified, function)
        )
        setattr(owner, last, timed)

    def _plain(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            began, cpu = time.monotonic(), time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.thread_time() - cpu
                self._note(Stage(name, threading.current_thread().name, began, time.monotonic(), spent))

        return timed

    def _coroutine(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def timed(*arguments: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return await function(*arguments, **options)
            finally:
                self._note(Stage(name, threading.current_thread().name, began, time.monotonic(), None))

        return timed


def _serve_timed(file: Path, arguments: Sequence[str]) -> None:
    """In the process that serves."""
    process_began = _process_start()

    def note(stage: Stage) -> None:
        told = (
            stage.name,
            stage.thread,
            stage.began_s - process_began,
            stage.ended_s - process_began,
            stage.cpu_s,
        )
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(told) + "\n")

    sys.meta_path.insert(0, _TimesStages(note))
    from emostream.streamer.cli.main import main as run

    note(
        Stage(
            "(Python, the command line)",
            threading.current_thread().name,
            process_began,
            time.monotonic(),
            time.process_time(),
        )
    )
    sys.argv = ["emostream", *arguments]
    run()


def _process_start() -> float:
    """By the monotonic clock."""
    created: float = psutil.Process().create_time()
    return time.monotonic() - (time.time() - created)


def main() -> None:
    if sys.argv[1:2] == [_CHILD]:
        _serve_timed(Path(sys.argv[2]), sys.argv[3:])
        return
    for part in trace(sys.argv[1:]):
        print(part, end="", flush=True)


if __name__ == "__main__":
    main()
