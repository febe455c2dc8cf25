"""Settings of a run: defaults, overrides, and errors for unknown keys and wrong types."""

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


def test_missing_settings_take_the_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "seed = 5\n[fusion]\nepochs = 2\nlearning_rate = 1\n"))
    assert settings == RunSettings(name="trial", seed=5, fusion=FusionSettings(epochs=2, learning_rate=1.0))


def test_a_table_of_the_head_overrides_the_recipe_s_defaults_only(tmp_path: Path) -> None:
    text = (
        "[heads.trainer]\nepochs = 3\n[heads.data]\nviews = 2\nframes_per_clip = 16\n"
        "[heads.data.augment]\nnoise = 0.5\n"
    )
    heads, default = read_settings(written(tmp_path, text)).heads, HeadSettings()
    assert heads.trainer == replace(default.trainer, epochs=3)
    augment = replace(default.data.augment, noise=0.5)
    assert heads.data == replace(default.data, views=2, frames_per_clip=16, augment=augment)
    trainer_only = read_settings(written(tmp_path, "[heads.trainer]\nepochs = 3\n")).heads
    assert trainer_only.data == default.data


def test_a_list_becomes_a_tuple(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "[distillation]\nteacher_layers = [1, 3]"))
    assert settings.distillation.teacher_layers == (1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "unknown field `sed`"),
        ("[fusion]\nepoch = 1", "unknown field `epoch`"),
        ("seed = 'one'", "Expected `int`"),
        ("fusion = 3", "Expected `object`"),
        ("[distillation]\nteacher_layers = 3", "Expected `array`"),
        ("seed = ", "expected a TOML file"),
        ("[heads.trainer]\nepoch = 3", r"trial.toml: .*unknown field `epoch` - at `\$.heads.trainer`"),
        ("[heads.trainer]\nepochs = 0", r"trial.toml: .*>= 1 - at `\$.heads.trainer.epochs`"),
        (
            "[heads.data.augment]\nnoises = 1.0",
            r"trial.toml: .*unknown field `noises` - at `\$.heads.data.augment`",
        ),
        ("[heads]\ndata = 3", r"trial.toml: Expected `object`, got `int` - at `\$.heads.data`"),
        ("[distillation]\nexclude_corpora = 'ravdess'", "Expected `array`"),
    ],
)
def test_invalid_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings(written(tmp_path, text))
    assert str(tmp_path / "trial.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a TOML file"):
        read_settings(tmp_path / "none.toml")


def test_the_run_of_the_bundled_model_can_be_read() -> None:
    """Its distillation excludes the corpus that it is evaluated on."""
    settings = read_settings(REPO / "training" / "runs" / "bundled.toml")
    assert settings.name == "bundled"
    assert settings.evaluated_corpus in settings.distillation.exclude_corpora
