"""docs/model.md against the code."""

from __future__ import annotations

import re

import pytest

from emostream.models.config import EmotionConfig, reference_config
from tests.support.shared import REPO

PAGE = (REPO / "docs" / "model.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`((?:models|training|benchmarks|docs)/[\w./-]*)`", PAGE)))
FLAGS = [
    name
    for row in PAGE.split("## Flags")[1].split("##")[0].splitlines()
    if row.startswith("| `")
    for name in re.findall(r"`(\w+)`", row.split("|")[1])
]


@pytest.mark.parametrize("place", PLACES)
def test_every_path_in_the_page_exists(place: str) -> None:
    assert (REPO / place).exists() or list(REPO.glob(f"{place}*"))


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_in_the_page_is_a_field_of_the_configuration(flag: str) -> None:
    assert hasattr(EmotionConfig(), flag)


def test_the_reference_model_has_the_stated_size() -> None:
    config = reference_config()
    assert (config.audio_config.model_type, config.audio_config.hidden_size) == ("wav2vec2", 768)
    assert (config.text_config.model_type, config.text_config.num_hidden_layers) == ("bert", 12)
    assert config.granularities == ["frame", "phone", "syllable", "word"]
    assert len(PLACES) > 5
    assert len(FLAGS) > 10
