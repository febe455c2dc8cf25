"""Two CPU processes on this machine, as `torchrun` starts them, for what only several processes show.

A scenario is a function at the top of a test module, (folder) -> named tensors. Both processes call it,
inside a process group (gloo); what they return comes back by rank. Nothing but the loopback is used.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, distributed

from tests.support.shared import REPO

Scenario = Callable[[Path], Mapping[str, Tensor]]
LIMIT_S = 300


def in_two_processes(scenario: Scenario, folder: Path) -> list[dict[str, Tensor]]:
    """What process 0 and what process 1 returned. folder: the scenario's own; fails with what they wrote."""
    launch = ["torch.distributed.run", "--nnodes=1", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    launch += ["--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    name = f"{scenario.__module__}:{scenario.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", *launch, "-m", __name__, name, str(folder)],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(_result(folder, rank)) for rank in (0, 1)]


def _result(folder: Path, rank: int) -> Path:
    return folder / f"process{rank}.pt"


def main(name: str, folder: Path) -> None:
    module, function = name.split(":")
    scenario: Scenario = getattr(importlib.import_module(module), function)
    distributed.init_process_group("gloo")
    try:
        torch.save(dict(scenario(folder)), _result(folder, distributed.get_rank()))
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
