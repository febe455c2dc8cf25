"""The card of a checkpoint, as the model hub's client reads and publishes it, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from emostream.training.model_card_file import write_model_card


def test_the_card_is_published_with_its_front_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model_card(tmp_path, "# Müde\n", ("speech",), licence="cc-by-4.0", language="de")
    sent: dict[str, str] = {}

    def upload_file(path_or_fileobj: str, path_in_repo: str, repo_id: str, **_: object) -> str:
        sent.update(name=path_in_repo, repo=repo_id, text=Path(path_or_fileobj).read_text(encoding="utf-8"))
        return ""

    monkeypatch.setattr("huggingface_hub.repocard.upload_file", upload_file)
    monkeypatch.setattr(ModelCard, "validate", lambda *_, **__: None)  # asks the hub
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.to_dict() == {
        "license": "cc-by-4.0",
        "language": "de",
        "library_name": "transformers",
        "pipeline_tag": "audio-classification",
        "tags": ["speech"],
    }
    card.push_to_hub("somebody/emotion")
    assert (sent["name"], sent["repo"]) == ("README.md", "somebody/emotion")
    assert sent["text"].endswith("# Müde\n")
