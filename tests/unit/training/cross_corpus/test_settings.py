"""The settings of the recipe of both bundled models."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from emostream.training.cross_corpus.settings import (
    CrossCorpusSettings,
    HeadSettings,
    read_cross_corpus_settings,
)
from emostream.training.errors import SettingsError
from tests.support.shared import REPO


@pytest.mark.parametrize(("name", "source"), [("bundled", "checkpoint"), ("bundled-whisper", "whisper")])
def test_the_stored_runs_can_be_read(name: str, source: str) -> None:
    settings = read_cross_corpus_settings(REPO / "training" / "runs" / f"{name}.toml")
    assert (settings.name, settings.encoder.source) == (name, source)


def written(folder: Path, text: str) -> Path:
    file = folder / "trial.toml"
    file.write_text(text)
    return file


def test_a_table_of_the_head_overrides_the_defaults_of_what_it_names_only(tmp_path: Path) -> None:
    text = "[head.trainer]\nepochs = 3\n[data]\nviews = 2\n[data.augment]\nnoise = 0.5\n"
    settings, default = read_cross_corpus_settings(written(tmp_path, text)), CrossCorpusSettings(name="trial")
    assert settings.head == replace(HeadSettings(), trainer=replace(HeadSettings().trainer, epochs=3))
    assert settings.data == replace(default.data, views=2, augment=replace(default.data.augment, noise=0.5))
    assert settings.fusion == default.fusion


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[head.trainer]\nepoch = 3", r"unknown field `epoch` - at `\$.head.trainer`"),
        ("[head.trainer]\nepochs = 0", r">= 1 - at `\$.head.trainer.epochs`"),
        ("[data.augment]\nnoises = 1.0", r"unknown field `noises` - at `\$.data.augment`"),
        ("[encoder]\nsource = 'wav2vec2'", r"Invalid enum value 'wav2vec2'"),
    ],
)
def test_invalid_settings_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"trial.toml: .*{message}"):
        read_cross_corpus_settings(written(tmp_path, text))
