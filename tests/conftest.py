"""Fixtures that several files share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# No test measures time: a loaded machine must not fail one.
settings.register_profile("emostream", deadline=None)
settings.load_profile("emostream")

UNIT = Path(__file__).parent / "unit"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` runs what is marked short, and all unit tests are but those marked long."""
    for item in items:
        if UNIT in item.path.parents and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.short)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints of pretrained encoders, a folder each; to be read only."""
    from tests.support.tiny_pretrained import publish  # brings transformers, which most tests do without

    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copies(published: Path, tmp_path: Path) -> Path:
    """The same, for a test to damage."""
    return Path(shutil.copytree(published, tmp_path / "copies"))
