"""Texts as cells of CSV files that spreadsheets open: none is taken for a formula."""

from __future__ import annotations

import re
from typing import Final

# Also their full-width forms, and behind quotes of the text's own, so that one more can be taken away again.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def safe_cell(text: str) -> str:
    """A text that a spreadsheet would compute gets a single quote in front, as OWASP's page on CSV injection
    asks; any other stays. `'=1+1` is then shown as it is.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """The text of which `safe_cell` made it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
