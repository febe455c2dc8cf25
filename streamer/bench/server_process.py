"""`emostream serve` in another process, to measure it: its address, resource usage and counters."""

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
class ResourceUsage:
    """Of the server and its children. cpu_s: processor time so far. rss_bytes: resident memory."""

    cpu_s: float
    rss_bytes: int


class ServerProcess:
    """A context manager that starts `emostream serve` on a free port and terminates it.

    arguments: further ones of the command. ready_s: how long it took to accept connections.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        try:
            import psutil
        except ImportError:
            raise ConfigError(
                "expected the package psutil, which measures a server's resource usage, found none: "
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
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if (found := _LISTENING.search(line)) is not None:
                self.url = found[1]
                break
        else:
            self._process.wait()
            raise ConnectError(f"expected a server, it ended with: {''.join(lines).strip()}")
        self.ready_s = time.perf_counter() - began
        self._measured = self._psutil.Process(self._process.pid)
        # A pipe that is not read blocks the process that writes to it.
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
    def pid(self) -> int:
        return self._process.pid

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def usage(self) -> ResourceUsage:
        cpu, rss = 0.0, 0
        for process in (self._measured, *self._measured.children(recursive=True)):
            times = process.cpu_times()
            cpu += times.user + times.system
            rss += process.memory_info().rss
        return ResourceUsage(cpu, rss)

    def counters(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """(name, label values) -> value, from `/metrics`."""
        with urlopen(f"{self.url}/metrics") as response:
            text = response.read().decode()
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
