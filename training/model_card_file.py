"""The file of a model card: README.md of a checkpoint folder, with the model hub's front matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_model_card(
    folder: Path, body: str, tags: Sequence[str], *, licence: str = "", language: str = ""
) -> None:
    """body: Markdown. licence, language: identifiers of the model hub; empty where unknown."""
    fields = {
        "license": licence,
        "language": language,
        "library_name": "transformers",
        "pipeline_tag": "audio-classification",
        "tags": f"[{', '.join(tags)}]",
    }
    lines = ["---", *(f"{name}: {value}" for name, value in fields.items() if value), "---"]
    (folder / "README.md").write_text("\n".join(lines) + "\n" + body, encoding="utf-8")
