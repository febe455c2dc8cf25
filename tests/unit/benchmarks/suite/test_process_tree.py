"""Memory and processor time of a process and what it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

from benchmarks.suite.process_tree import tree_usage


def test_a_process_is_measured_with_what_it_started() -> None:
    hold = "import sys; block = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {json.dumps(hold)}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        usage = tree_usage(process.pid)
        process.communicate(b"")
    assert usage.memory_mib > 64
    assert usage.cpu_s > 0.0
    assert tree_usage(os.getpid()).cpu_s > 0.0


def test_the_time_of_threads_that_have_ended_counts() -> None:
    before = tree_usage(os.getpid()).cpu_s
    worked: list[float] = []

    def work() -> None:
        while time.thread_time() < 0.1:
            pass
        worked.append(time.thread_time())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert tree_usage(os.getpid()).cpu_s - before >= worked[0]
