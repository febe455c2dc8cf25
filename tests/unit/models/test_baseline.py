"""A speaker's running baseline: its arithmetic, its bounds, and what the model does with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models import Clip, EmotionInput
from emostream.models.baseline import BaselineSettings, SpeakerBaseline, Voice
from emostream.models.checkpoint import Checkpoint
from emostream.models.encoders.layer_mix import LayerConcat
from emostream.models.inputs import WaveformSpec, prepare
from emostream.models.recognizer import EmotionRecognizer
from tests.support.tiny_emotion import noise, tiny_model, tiny_tokenizer

FIELDS: dict[str, Any] = {"prior_count": 4.0, "neutral_weight": 0.0, "max_shift": None}
TAKES_BASELINES: dict[str, Any] = {"audio_mix": "concat", "audio_mix_layers": [1, 2], "baseline": FIELDS}


def vector(*values: float) -> Voice:
    return np.array(values, np.float32)


def known(state: SpeakerBaseline, settings: BaselineSettings) -> Voice:
    voice = state.voice(settings)
    assert voice is not None
    return voice


def test_a_baseline_is_the_mean_shrunk_by_the_prior() -> None:
    settings = BaselineSettings(prior_count=2.0)
    state = SpeakerBaseline()
    assert state.voice(settings) is None
    for voice in (vector(1, 3), vector(3, 3)):
        state = state.updated(voice, 0.2, settings)
    assert (state.utterances, state.weight) == (2, 2.0)
    np.testing.assert_allclose(known(state, settings), [4 / 4, 6 / 4])


def test_the_more_utterances_the_larger_the_share_that_is_the_speakers_own() -> None:
    settings = BaselineSettings(prior_count=4.0)
    state, shares = SpeakerBaseline(), []
    for _ in range(5):
        shares.append(state.known_share(settings))
        state = state.updated(vector(1.0), 0.3, settings)
    assert shares == pytest.approx([0.0, 1 / 5, 2 / 6, 3 / 7, 4 / 8])


def test_an_utterance_counts_by_how_neutral_it_is() -> None:
    settings = BaselineSettings(prior_count=1.0, neutral_weight=0.5)
    state = SpeakerBaseline().updated(vector(2), 1.0, settings).updated(vector(8), 0.0, settings)
    np.testing.assert_allclose(known(state, settings), [(2 + 0.5 * 8) / (1.5 + 1)])


def test_a_baseline_moves_no_further_than_the_cap() -> None:
    settings = BaselineSettings(prior_count=1e-9, max_shift=0.5)
    voice = SpeakerBaseline().updated(vector(3, 4), 1.0, settings).voice(settings)
    assert voice is not None
    assert math.sqrt(float(np.mean(voice**2))) == pytest.approx(0.5)
    np.testing.assert_allclose(voice[1] / voice[0], 4 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        FIELDS | {"prior_count": 0.0},
        FIELDS | {"neutral_weight": 1.5},
        FIELDS | {"max_shift": -1.0},
        FIELDS | {"prior_count": "4"},
        FIELDS | {"more": 1},
    ],
)
def test_wrong_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        BaselineSettings.from_fields(fields)


def test_a_round_trip_of_the_settings() -> None:
    for settings in (BaselineSettings(), BaselineSettings(3.0, 0.5, 0.4)):
        assert BaselineSettings.from_fields(settings.fields()) == settings


def recognizer(**changes: Any) -> EmotionRecognizer:
    model = tiny_model(**(TAKES_BASELINES | changes))
    mix = model.audio_encoder.mix
    assert isinstance(mix, LayerConcat)
    generator = torch.Generator().manual_seed(3)
    mix.standardise(torch.randn(3, 24, generator=generator), torch.rand(3, 24, generator=generator) + 0.5)
    return EmotionRecognizer(Checkpoint(model, tiny_tokenizer(), Path("tiny")), torch.device("cpu"))


def test_a_projected_baseline_equals_subtraction_from_the_states() -> None:
    mix = LayerConcat((0, 1), 6, 4, dropout=0.0)
    states = [torch.randn(2, 5, 6), torch.randn(2, 5, 6)]
    baseline = torch.randn(2, 12)
    direct = mix.activate(mix.apply_linear(mix.standardised(states) - baseline[:, None]))
    cheap = mix.activate(mix.apply_linear(mix.standardised(states)) - mix.shift(baseline)[:, None])
    torch.testing.assert_close(cheap, direct)
    torch.testing.assert_close(mix(states), mix.activate(mix.apply_linear(mix.standardised(states))))


def test_a_speaker_without_utterances_changes_nothing() -> None:
    model = recognizer()
    clips = [Clip(noise(16_000)), Clip(noise(9_000, 1))]
    codes, alignments = model.encode(clips), model.align(clips, [None, None])
    cold = model.fuse(codes, [None, None], alignments)
    assert cold == model.recognize([EmotionInput(clip) for clip in clips])
    assert cold == model.fuse(codes, [None, None], alignments, [SpeakerBaseline(), None])


def test_a_clip_has_the_same_voice_and_label_alone_and_in_a_batch() -> None:
    model = recognizer()
    assert model.baseline is not None
    clips = [Clip(noise(length, seed)) for seed, length in enumerate((48_000, 700, 16_000, 31_999))]
    batch = model.encode(clips)
    speakers = [
        None if code.voice is None else SpeakerBaseline().updated(code.voice, 0.5, model.baseline)
        for code in reversed(batch)
    ]
    together = model.fuse(batch, [None] * 4, model.align(clips, [None] * 4), speakers)
    for clip, code, speaker, prediction in zip(clips, batch, speakers, together, strict=True):
        (alone,) = model.encode([clip])
        (single,) = model.fuse([alone], [None], model.align([clip], [None]), [speaker])
        assert alone.voice is not None
        assert code.voice is not None
        np.testing.assert_allclose(alone.voice, code.voice, atol=1e-4)
        np.testing.assert_allclose(single.probabilities, prediction.probabilities, atol=1e-4)


def test_the_baseline_of_a_known_speaker_is_subtracted() -> None:
    model = recognizer()
    clips = [Clip(noise(16_000)), Clip(noise(9_000, 1))]
    codes, alignments = model.encode(clips), model.align(clips, [None, None])
    assert model.baseline is not None
    voice = codes[0].voice
    assert voice is not None
    assert voice.shape == (48,)
    speaker = SpeakerBaseline().updated(voice, 0.5, model.baseline)
    cold = model.fuse(codes, [None, None], alignments)
    known = model.fuse(codes, [None, None], alignments, [speaker, None])
    assert known[0].probabilities != cold[0].probabilities
    assert known[1].probabilities == pytest.approx(cold[1].probabilities, abs=1e-6)


def test_a_model_without_baselines_ignores_them() -> None:
    model = recognizer(baseline=None)
    clip = Clip(noise(16_000))
    codes, alignments = model.encode([clip]), model.align([clip], [None])
    assert model.baseline is None
    assert codes[0].voice is None
    speaker = SpeakerBaseline(np.ones(48), 1.0, 1)
    assert model.fuse(codes, [None], alignments, [speaker]) == model.fuse(codes, [None], alignments)


def test_baselines_need_concatenated_layers() -> None:
    with pytest.raises(ValueError, match="audio_mix concat"):
        tiny_model(baseline=FIELDS)


def test_a_level_is_reached_from_any_other_and_silence_stays_quiet() -> None:
    spec = WaveformSpec(400, unit_variance=False, level=0.05)
    clip = noise(16_000)
    quiet, loud = prepare(0.01 * clip, spec), prepare(0.5 * clip, spec)
    assert float(np.sqrt(np.mean(quiet**2))) == pytest.approx(0.05, rel=1e-4)
    np.testing.assert_allclose(quiet, loud, rtol=1e-4, atol=1e-6)
    assert not prepare(np.zeros(800, np.float32), spec).any()
    assert float(np.abs(prepare(np.full(800, 1e-6, np.float32), spec)).max()) < 1e-3
