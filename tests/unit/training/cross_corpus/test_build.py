"""The model before training: whose encoders it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emostream.models import CheckpointError
from emostream.models.checkpoint import load_checkpoint
from emostream.training.cross_corpus.build import new_model, template
from emostream.training.cross_corpus.pipeline import CrossCorpusPaths, prepare
from emostream.training.cross_corpus.settings import CrossCorpusSettings, EncoderSettings
from emostream.training.errors import SettingsError
from tests.support.tiny_emotion import write_tiny

OWN = CrossCorpusSettings(
    name="own", encoder=EncoderSettings(source="checkpoint", layers=(1,), mix_width=16, width=8)
)
ENCODERS = ("audio_encoder.backbone", "text_encoder", "text_pool", "text_head")


@pytest.fixture
def encoders(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "encoders")


def test_without_whisper_both_encoders_are_the_given_checkpoint_s(encoders: Path) -> None:
    given = load_checkpoint(encoders).model
    model, tokenizer = template(OWN, encoders, None)
    trained = new_model(model, OWN)
    for one in (model, trained):
        assert one.config.shared_encoder is None
        assert one.config.audio_unit_variance == given.config.audio_unit_variance
        for name in ENCODERS:
            for key, weights in one.get_submodule(name).state_dict().items():
                assert torch.equal(weights, given.get_submodule(name).state_dict()[key]), (name, key)
    assert tokenizer.get_vocab() == load_checkpoint(encoders).tokenizer.get_vocab()


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        template(OWN, tmp_path / "nowhere", None)


@pytest.mark.parametrize(
    ("settings", "whisper", "message"),
    [
        (CrossCorpusSettings(name="shared"), None, "encoder.source is whisper: expected --whisper"),
        (OWN, Path("whisper"), "encoder.source is checkpoint: expected no --whisper"),
    ],
)
def test_an_encoder_that_is_not_the_setting_s_is_refused_first(
    settings: CrossCorpusSettings, whisper: Path | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        prepare(settings, CrossCorpusPaths(tmp_path / "data", whisper, tmp_path / "work"))
