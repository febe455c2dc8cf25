"""The settings of the recipe on Whisper's encoder."""

from __future__ import annotations

from pathlib import Path

from emostream.training.whisper_recipe.settings import read_whisper_settings

RUNS = Path(__file__).parents[4] / "training" / "runs"


def test_the_stored_run_can_be_read() -> None:
    settings = read_whisper_settings(RUNS / "bundled-whisper.toml")
    assert settings.name == "bundled-whisper"
