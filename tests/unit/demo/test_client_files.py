"""The client is a handful of files that import each other and nothing else."""

from __future__ import annotations

import re

from tests.support.browser_example import client_files
from tests.support.node import DEMO


def files_needed_by(name: str) -> set[str]:
    """The module, everything it imports, and what it loads by address."""
    source = (DEMO / name).read_text(encoding="utf-8")
    named = re.findall(r'(?:from|new URL\()\s*"\./(\w+\.js)"', source)
    return {name}.union(*(files_needed_by(other) for other in named))


def test_the_example_copies_every_file_of_the_client() -> None:
    assert set(client_files()) == files_needed_by("client.js")


def test_client_js_names_the_files_to_copy_with_it() -> None:
    head = (DEMO / "client.js").read_text(encoding="utf-8").split("*/")[0]
    assert set(re.findall(r"\w+\.js", head)) == files_needed_by("client.js") - {"client.js"}
