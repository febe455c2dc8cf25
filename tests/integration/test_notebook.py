"""The notebook of `examples/`, run as Jupyter runs it: in a kernel, whose event loop runs already."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.programs import SELF_CONTAINED
from tests.support.serving import serving
from tests.support.shared import REPO

# Of the packages that run notebooks, for themselves.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


async def test_the_notebook_runs() -> None:
    notebook = nbformat.read(REPO / "examples" / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    async with serving() as server:
        models = {"asr": "none", "checkpoint": SELF_CONTAINED[1]}
        parameters.source += f"\nSERVER = {server.url.replace('http', 'ws')!r}\nMODELS = {models!r}"
        await NotebookClient(notebook, timeout=300, kernel_name="python3").async_execute()
    table, mean, picture, printed = (output(cell) for cell in notebook.cells if cell.get("outputs"))
    assert "<table>" in table["text/html"]
    assert "p_angry" in mean["text/plain"]
    assert "image/png" in picture
    assert printed["text"].count(" s  ") >= 4


def output(cell: Any) -> dict[str, str]:
    """What the cell shows, by its type, or prints."""
    (only,) = (one for one in cell.outputs if one.get("name") != "stderr")
    shown: dict[str, str] = only.data if "data" in only else {"text": only.text}
    return shown
