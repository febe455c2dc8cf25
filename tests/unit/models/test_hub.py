"""Checkpoints by transformers' own classes: registered, read by name, and published, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from emostream.models.checkpoint import load_checkpoint
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from tests.support.tiny_emotion import write_tiny

NAME = "somebody/emotion"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("checkpoint"))


def assert_same(got: Any, folder: Path) -> None:
    wanted = load_checkpoint(folder).model
    assert isinstance(got, EmotionModel)
    assert got.config.label_names == wanted.config.label_names
    for name, weights in wanted.state_dict().items():
        torch.testing.assert_close(got.state_dict()[name], weights, atol=2e-3, rtol=1e-3)


def test_auto_classes_know_the_architecture(folder: Path) -> None:
    assert isinstance(AutoConfig.from_pretrained(folder), EmotionConfig)
    assert_same(AutoModel.from_pretrained(folder), folder)


def test_a_name_of_the_hub_is_read_from_the_cache(folder: Path, tmp_path: Path) -> None:
    """As the hub's client lays it out."""
    revision, stored = "0" * 40, tmp_path / "models--somebody--emotion"
    shutil.copytree(folder, stored / "snapshots" / revision)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(revision)
    read = AutoModel.from_pretrained(NAME, cache_dir=tmp_path, local_files_only=True)
    assert_same(read, folder)


def test_what_is_published_is_a_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local folder stands for the hub."""

    def create_commit(self: HfApi, repo_id: str, operations: Any, **_: Any) -> None:
        assert repo_id == NAME
        for one in operations:
            shutil.copy(one.path_or_fileobj, tmp_path / one.path_in_repo)

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo_id, **_: SimpleNamespace(repo_id=repo_id))
    monkeypatch.setattr(HfApi, "create_commit", create_commit)
    monkeypatch.setattr(ModelCard, "load", lambda *_, **__: ModelCard("---\n{}\n---\n# A model\n"))
    AutoModel.from_pretrained(folder).push_to_hub(NAME)
    PreTrainedTokenizerFast.from_pretrained(folder).push_to_hub(NAME)
    assert_same(load_checkpoint(tmp_path).model, folder)
