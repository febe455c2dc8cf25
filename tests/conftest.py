"""Fixtures that several files share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints of pretrained encoders, a folder each; to be read only."""
    from tests.support.tiny_pretrained import publish  # brings transformers, which most tests do without

    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copies(published: Path, tmp_path: Path) -> Path:
    """The same, for a test to damage."""
    return Path(shutil.copytree(published, tmp_path / "copies"))
