"""The AsyncAPI document, read by the specification's own parser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.node import needs_node
from tests.support.shared import REPO

PACKAGE: Final = "@asyncapi/parser@3.6.6"
INSTALL_TIMEOUT_S: Final = 240
PARSE: Final = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const messages = document?.allMessages().all().map((message) => message.id()) ?? [];
console.log(JSON.stringify({ messages, diagnostics }));
"""


@pytest.fixture
def parser(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """A folder with the parser, kept between runs where pytest has a cache."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("expected npm on the path, found none")
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    folder = tmp_path if cache is None else cache.mkdir("asyncapi-parser")
    if not (folder / "node_modules" / "@asyncapi" / "parser").is_dir():
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(folder),
            PACKAGE,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"expected npm to install {PACKAGE}, got {type(error).__name__}")
    return folder


@needs_node
def test_the_official_parser_accepts_the_document(parser: Path) -> None:
    """Without an error or a warning. It knows all messages."""
    script = parser / "parse.mjs"
    script.write_text(PARSE, encoding="utf-8")
    document = REPO / "docs" / "asyncapi.json"
    done = subprocess.run(
        ["node", script, document], check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
    )
    result = json.loads(done.stdout)
    assert [found for found in result["diagnostics"] if found["severity"] < 2] == []
    written = json.loads(document.read_text(encoding="utf-8"))
    assert set(result["messages"]) == set(written["components"]["messages"])
