"""`python -m benchmarks.gpu [--device cpu --tiny] [--output FILE]`: what one GPU does, as one Markdown table.

Every part is a process of its own with its own time limit, eight minutes for all of them; one that fails or
is too slow is a row that says so. Networks are of full size with random weights: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.gpu_parts import PARTS, Row
from benchmarks.machine import commit, machine

REPO: Final = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="networks of a few thousand weights: a dry run")
    parser.add_argument("--output", type=Path, help="file for the table, beside the terminal")
    parser.add_argument(
        "--part", choices=tuple(PARTS), help="measure one part here, and print its rows as JSON"
    )
    options = parser.parse_args(arguments)
    if options.part:
        print(json.dumps(PARTS[options.part].measure(options.device, options.tiny)))
        return
    rows: list[Row] = []
    for name, part in PARTS.items():
        found = _in_a_process(name, part.limit_s, options.device, options.tiny)
        rows += found
        print("\n".join(_line(row) for row in found), file=sys.stderr, flush=True)
    text = _table(rows, options.device, options.tiny)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


def _in_a_process(name: str, limit_s: float, device: str, tiny: bool) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, "--device", device]
    try:
        done = subprocess.run(
            [*command, *(["--tiny"] if tiny else [])],
            cwd=REPO,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [(name, "", f"not measured: no result within {limit_s:.0f} s")]
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [(name, "", f"not measured: {reason[:200]}")]
    rows: list[Row] = [tuple(row) for row in json.loads(done.stdout.strip().splitlines()[-1])]
    return rows


def _line(row: Row) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |"


def _table(rows: Sequence[Row], device: str, tiny: bool) -> str:
    size = (
        "**dry run with tiny networks: no figure is a measurement of this machine**"
        if tiny
        else "full size, random weights"
    )
    head = [
        f"`benchmarks/gpu.sh` on {datetime.now(UTC):%Y-%m-%d}, {device}, commit {commit()}, "
        f"{machine()}; {size}.",
        "",
        "| part | of what | measured |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, rows)])


if __name__ == "__main__":
    main()
