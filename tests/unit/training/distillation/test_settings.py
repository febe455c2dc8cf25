"""Settings of a run: defaults, overrides, and errors for unknown keys and wrong types."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.training.distillation.settings import RunSettings, TextSettings, read_settings
from emostream.training.errors import SettingsError
from tests.support.shared import REPO


def written(folder: Path, text: str) -> Path:
    file = folder / "trial.toml"
    file.write_text(text)
    return file


def test_missing_settings_take_the_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "seed = 5\n[text]\nepochs = 2\nlearning_rate = 1\n"))
    assert settings == RunSettings(name="trial", seed=5, text=TextSettings(epochs=2, learning_rate=1.0))


def test_a_list_becomes_a_tuple(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "[distillation]\nteacher_layers = [1, 3]"))
    assert settings.distillation.teacher_layers == (1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "unknown field `sed`"),
        ("[text]\nepoch = 1", r"trial.toml: .*unknown field `epoch` - at `\$.text`"),
        ("seed = 'one'", "Expected `int`"),
        ("text = 3", r"trial.toml: Expected `object`, got `int` - at `\$.text`"),
        ("[distillation]\nteacher_layers = 3", "Expected `array`"),
        ("seed = ", "expected a TOML file"),
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


def test_the_stored_run_can_be_read() -> None:
    settings = read_settings(REPO / "training" / "runs" / "bundled-encoders.toml")
    assert settings.name == "bundled-encoders"
    assert settings.distillation.exclude_corpora == ("ravdess",)
