"""Runs modules of `demo/` in Node, for tests that compare them with Python."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

DEMO: Final = Path(__file__).resolve().parents[2] / "demo"
NODE: Final = shutil.which("node")
OLDEST: Final = (20, 19)  # the first that recognizes an ES module by its syntax
TIMEOUT_S: Final = 300  # a bound on hanging


def reason_to_skip() -> str | None:
    if NODE is None:
        return "expected node on the path, found none (apt install nodejs)"
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return None if numbers >= OLDEST else f"expected Node 20.19 or newer, got {version.strip()}"


_REASON: Final = reason_to_skip()
needs_node: Final = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))


def run_node(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NODE), *arguments], input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def evaluate(body: str, argument: Any = None) -> Any:
    """What the function body returns. It may use `argument`, and load modules: `await load("events.js")`."""
    script = f"""
        import {{ readFileSync }} from "node:fs";
        const load = (name) => import(new URL(name, {json.dumps(DEMO.as_uri() + "/")}));
        const run = async (argument) => {{ {body} }};
        const result = await run(JSON.parse(readFileSync(0, "utf8")));
        process.stdout.write(JSON.stringify(result ?? null));
    """
    done = run_node("--input-type=module", "--eval", script, stdin=json.dumps(argument))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
