"""A run's TOML: defaults, overrides, and no silent typo."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from emostream.training.bundled_recipe.settings import (
    FusionSettings,
    HeadSettings,
    RunSettings,
    read_settings,
)
from emostream.training.errors import SettingsError
from tests.support.shared import REPO


def written(folder: Path, text: str) -> Path:
    file = folder / "trial.toml"
    file.write_text(text)
    return file


def test_what_is_not_named_is_the_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "seed = 5\n[fusion]\nepochs = 2\nlearning_rate = 1\n"))
    assert settings == RunSettings(name="trial", seed=5, fusion=FusionSettings(epochs=2, learning_rate=1.0))


def test_what_a_table_of_the_head_does_not_name_stays_the_recipe_s(tmp_path: Path) -> None:
    text = (
        "[heads.trainer]\nepochs = 3\n[heads.data]\nviews = 2\nframes_per_clip = 16\n"
        "[heads.data.augment]\nnoise = 0.5\n"
    )
    heads, usual = read_settings(written(tmp_path, text)).heads, HeadSettings()
    assert heads.trainer == replace(usual.trainer, epochs=3)
    augment = replace(usual.data.augment, noise=0.5)
    assert heads.data == replace(usual.data, views=2, frames_per_clip=16, augment=augment)
    alone = read_settings(written(tmp_path, "[heads.trainer]\nepochs = 3\n")).heads
    assert alone.data == usual.data


def test_a_list_becomes_layers(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, "[distil]\nteacher_layers = [1, 3]")).distil.teacher_layers == (
        1,
        3,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sed = 1", "unknown setting `sed`"),
        ("[fusion]\nepoch = 1", "unknown setting `epoch`"),
        ("seed = 'one'", "expected int"),
        ("fusion = 3", "expected a table"),
        ("[distil]\nteacher_layers = 3", "expected a list of int"),
        ("seed = ", "expected a TOML file"),
        ("[heads.trainer]\nepoch = 3", "trial.toml: heads: trainer: .*unknown field `epoch`"),
        ("[heads.trainer]\nepochs = 0", "trial.toml: heads: trainer: .*>= 1"),
        ("[heads.data.augment]\nnoises = 1.0", "trial.toml: heads: data: .*unknown field `noises`"),
        ("[heads]\ndata = 3", "trial.toml: heads: data: expected a table, got 3"),
        ("[distil]\nwithout = 'ravdess'", "expected a list of str"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        read_settings(written(tmp_path, text))
    assert str(tmp_path / "trial.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a TOML file"):
        read_settings(tmp_path / "none.toml")


def test_the_run_of_the_bundled_model_can_be_read() -> None:
    """And its distillation never hears what it is judged on."""
    settings = read_settings(REPO / "training" / "runs" / "bundled.toml")
    assert settings.name == "bundled"
    assert settings.judged in settings.distil.without
