"""A server of our own in another process, to be measured: its address, its cost, its counters."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread
from types import TracebackType
from typing import Any, Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from ..errors import ConfigError, ConnectError

_LISTENING: Final = re.compile(r"Listening on (http://\S+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """cpu_s: processor time so far, of the server and its children. rss_bytes: memory at present."""

    cpu_s: float
    rss_bytes: int


class ServerProcess:
    """`with` starts `emostream serve` with further arguments, and ends it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        try:
            import psutil
        except ImportError:
            raise ConfigError(
                "expected the package psutil, which reads a server's cost, found none: "
                "pip install 'emostream[bench]'"
            ) from None
        self._psutil: Any = psutil
        self._arguments = arguments
        self.url = ""
        self.ready_s = 0.0

    def __enter__(self) -> ServerProcess:
        began = time.perf_counter()
        program = [sys.executable, "-m", "emostream.streamer.cli.main", "serve", "--port", "0"]
        self._process = subprocess.Popen([*program, *self._arguments], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if (found := _LISTENING.search(line)) is not None:
                self.url = found[1]
                break
        else:
            self._process.wait()
            raise ConnectError(f"expected a server, it ended with: {''.join(said).strip()}")
        self.ready_s = time.perf_counter() - began
        self._seen = self._psutil.Process(self._process.pid)
        # Whoever does not read a pipe stops the one who writes.
        Thread(target=self._process.stderr.read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def cost(self) -> Cost:
        cpu, rss = 0.0, 0
        for process in (self._seen, *self._seen.children(recursive=True)):
            times = process.cpu_times()
            cpu += times.user + times.system
            rss += process.memory_info().rss
        return Cost(cpu, rss)

    def counters(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """(name, label values) -> value, from `/metrics`."""
        with urlopen(f"{self.url}/metrics") as answer:
            text = answer.read().decode()
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
