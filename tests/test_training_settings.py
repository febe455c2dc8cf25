"""A run's TOML: defaults, overrides, and no silent typo."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.training.errors import SettingsError
from emostream.training.recipe.settings import FusionSettings, RunSettings, read_settings

from .shared import REPO


def written(folder: Path, text: str) -> Path:
    file = folder / "trial.toml"
    file.write_text(text)
    return file


def test_what_is_not_named_is_the_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "seed = 5\n[fusion]\nepochs = 2\nlearning_rate = 1\n"))
    assert settings == RunSettings(name="trial", seed=5, fusion=FusionSettings(epochs=2, learning_rate=1.0))


def test_an_encoder_may_be_frozen_in_part(tmp_path: Path) -> None:
    fusion = read_settings(written(tmp_path, "[fusion]\naudio_frozen = 2\ntext_frozen = 'all'\n")).fusion
    assert (fusion.audio_frozen, fusion.text_frozen) == (2, "all")


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
        (
            "[fusion]\naudio_frozen = 'some'",
            "expected none, front_end, all or a number of layers, got 'some'",
        ),
        ("[fusion]\naudio_frozen = true", "number of layers, got True"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read_settings(written(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a TOML file"):
        read_settings(tmp_path / "none.toml")


def test_the_run_of_the_bundled_model_can_be_read() -> None:
    assert read_settings(REPO / "training" / "runs" / "bundled.toml").name == "bundled"
