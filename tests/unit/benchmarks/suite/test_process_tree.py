"""Memory and processor time of a process and what it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys

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
