"""A program whose standard output is closed, has lost its reader, or is a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINTS = (
    "import sys; from emostream.streamer.cli.standard_streams import flush_output, open_missing; "
    "open_missing(); print('results'); sys.exit(flush_output({status}))"
)
OPENS = (
    "import os, sys; from emostream.streamer.cli.standard_streams import open_missing; open_missing(); "
    "file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); print('results'); print('words', file=sys.stderr); "
    "os.system('echo more'); sys.stdout.flush(); sys.exit(file)"
)


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(program: str, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=BUFFERED, check=False
    )


def run_without_reader(program: str) -> subprocess.CompletedProcess[str]:
    read, write = os.pipe()
    os.close(read)
    try:
        return run(program, write)
    finally:
        os.close(write)


def test_a_reader_that_has_gone_is_a_failure_without_a_word() -> None:
    done = run_without_reader(PRINTS.format(status=0))
    assert (done.returncode, done.stderr) == (1, "")


def test_a_failure_before_that_keeps_its_status() -> None:
    done = run_without_reader(PRINTS.format(status=2))
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="expected /dev/full, found none: not Linux")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(PRINTS.format(status=0), full.fileno())
    expected = "emostream: expected to write the results, got: No space left on device; make room\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_what_can_be_written_is_written() -> None:
    done = run(PRINTS.format(status=0), subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "results\n", "")


@pytest.mark.skipif(os.name != "posix", reason="expected a POSIX shell that closes descriptors")
def test_no_file_gets_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """`>&- 2>&- <&-`: what is printed would go into the next file that the program opens."""
    file = tmp_path / "model.bin"
    command = [sys.executable, "-c", OPENS, str(file)]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=False)
    assert done.returncode > 2
    assert file.read_bytes() == b""
