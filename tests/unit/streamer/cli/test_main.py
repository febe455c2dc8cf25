"""What the command line sets up for its process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

pytest.importorskip("threadpoolctl", reason="threadpoolctl, which asks the library itself, is not installed")

_THREADS: Final = """
import sys
from emostream.streamer.cli import main
sys.argv = ["emostream", "--version"]
try:
    main.main()
except SystemExit:
    pass
import numpy
from threadpoolctl import threadpool_info
print(*(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))
"""


@pytest.mark.parametrize(("given", "threads"), [(None, "1"), ("2", "2")])
def test_products_of_numpy_have_one_thread_unless_the_environment_says_otherwise(
    given: str | None, threads: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    if given is not None:
        environment["OPENBLAS_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", _THREADS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == threads
