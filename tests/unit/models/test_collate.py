"""From clips and words to batches: a clip is prepared before padding."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import Wav2Vec2FeatureExtractor

from emostream.models.collate import collate_audio, collate_text
from emostream.models.inputs import WaveformSpec, prepare
from emostream.models.text_normalization import normalize_text
from tests.support.tiny_emotion import noise, tiny_tokenizer


def test_the_waveform_equals_that_of_the_wav2vec2_extractor() -> None:
    clips = [noise(5000), 0.01 * noise(3000, seed=1) + np.float32(0.2)]
    batch = collate_audio(clips, WaveformSpec(400))
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    theirs = extractor(clips, sampling_rate=16_000, padding=True, return_tensors="np")
    np.testing.assert_allclose(batch.samples.numpy(), theirs["input_values"], atol=1e-4)
    np.testing.assert_array_equal(batch.mask.numpy(), theirs["attention_mask"].astype(bool))


def test_a_short_clip_is_padded_to_one_frame() -> None:
    batch = collate_audio([np.zeros(0, np.float32), noise(100)], WaveformSpec(720))
    assert batch.samples.shape == (2, 720)
    assert batch.mask.all()


def test_a_long_clip_is_cut_to_the_limit_of_the_encoder() -> None:
    """The part that is cut off does not count in the normalization."""
    clip = noise(5_000)
    clip[3_000:] *= 50
    batch = collate_audio([clip, noise(900)], WaveformSpec(400, max_samples=3_000))
    assert batch.mask.sum(1).tolist() == [3_000, 900]
    np.testing.assert_array_equal(batch.samples[0], prepare(clip[:3_000], WaveformSpec(400)))


def test_non_finite_samples_count_as_silence() -> None:
    clip = noise(1000)
    holes = clip.copy()
    holes[[10, 20, 30]] = [np.nan, np.inf, -np.inf]
    clip[[10, 20, 30]] = 0.0
    np.testing.assert_array_equal(prepare(holes, WaveformSpec(400)), prepare(clip, WaveformSpec(400)))


def test_samples_near_the_end_of_float_do_not_overflow() -> None:
    assert np.isfinite(prepare(np.array([3e38, -3e38, 1.0] * 300, np.float32), WaveformSpec(400))).all()


def test_the_level_does_not_matter() -> None:
    np.testing.assert_allclose(
        prepare(noise(4000), WaveformSpec(400)), prepare(8 * noise(4000), WaveformSpec(400)), atol=1e-3
    )


@pytest.mark.parametrize(
    ("written", "normalized"),
    [
        ("It's GREAT!", "it's great"),
        ("  don\u2019t -- 'stop' now...", "don't stop now"),
        ("Call 9-1-1, y'know?", "call 9 1 1 y'know"),
        ("[NAME] snake_case", "name snake case"),
        ("caf\u00e9 \ufb01ne", "caf\u00e9 fine"),
        ("...!?", ""),
    ],
)
def test_text_is_normalized(written: str, normalized: str) -> None:
    assert normalize_text(written) == normalized
    assert normalize_text(normalized) == normalized


def test_text_without_words_counts_as_absent() -> None:
    batch = collate_text([None, "", " ?! ", "the door"], tiny_tokenizer(), 32)
    assert batch.present.tolist() == [False, False, False, True]
    assert batch.mask.sum(1).tolist()[:3] == [0, 0, 0]


def test_an_empty_input_has_room_for_the_absent_token() -> None:
    assert collate_text([None], tiny_tokenizer(), 32).ids.shape == (1, 1)


def test_a_long_text_is_truncated_before_its_end_token() -> None:
    tokenizer = tiny_tokenizer()
    batch = collate_text(["happy " * 500], tokenizer, 32)
    assert batch.ids.shape == (1, 32)
    assert batch.ids[0, -1] == tokenizer.token_to_id("[SEP]")
