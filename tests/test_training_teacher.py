"""The teacher's own forward, against the stock one where that can run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emostream.training.recipe.teacher import WhisperTeacher

from .shared import SHARED
from .tiny_emotion import noise

FOLDER = SHARED / "weights" / "whisper-tiny.en-encoder"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no teacher weights at {FOLDER}")


def test_thirty_seconds_give_what_the_stock_encoder_gives() -> None:
    """The stock forward takes 30 s and nothing else; there the two must agree, layer by layer."""
    clip = noise(30 * 16_000)
    ours = WhisperTeacher(FOLDER).layers(clip)
    features = WhisperFeatureExtractor.from_pretrained(FOLDER)(
        clip, sampling_rate=16_000, return_tensors="pt"
    )
    stock = WhisperEncoder.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = stock(features.input_features, output_hidden_states=True)
    assert len(ours) == len(theirs.hidden_states) == 5
    for mine, other in zip(ours[:-1], theirs.hidden_states[:-1], strict=True):
        torch.testing.assert_close(mine, other[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(ours[-1], theirs.last_hidden_state[0], atol=1e-3, rtol=1e-3)


def test_a_short_clip_gives_fifty_frames_a_second() -> None:
    layers = WhisperTeacher(FOLDER).layers(noise(32_000))
    assert {tuple(layer.shape) for layer in layers} == {(100, 384)}
    assert all(np.isfinite(layer.numpy()).all() for layer in layers)
