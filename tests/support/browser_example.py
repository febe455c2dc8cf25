"""The example of a page of one's own, and the files of the client that it uses."""

from __future__ import annotations

import re
from typing import Final

from tests.support.shared import REPO

EXAMPLE: Final = REPO / "examples" / "browser"


def client_files() -> list[str]:
    """The files of `demo/` that main.js lists for copying."""
    explanation = (EXAMPLE / "main.js").read_text(encoding="utf-8")
    match = re.search(r"cd demo && cp ([\w. ]+) \.\./page", explanation)
    assert match is not None
    return match[1].split()
