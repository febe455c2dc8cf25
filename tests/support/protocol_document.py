"""The document of the protocol, and the messages that it shows."""

from __future__ import annotations

import re

from tests.support.shared import REPO

DOCUMENT = (REPO / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
