"""The error predictor: its features, its reasons, and the reliability that a recognizer reports."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from emostream.models import REASONS, Clip, EncodedAudio
from emostream.models.reliability import (
    FEATURES,
    REASON_OF_FEATURE,
    ErrorPredictor,
    entropy,
    jensen_shannon,
    reliability_features,
)
from emostream.models.reliability_estimator import Evidence, ReliabilityEstimator, distance
from tests.support.tiny_emotion import noise, tiny_config

SURE, CLOSE = (0.91, 0.03, 0.03, 0.03), (0.3, 0.28, 0.21, 0.21)
FIELDS: dict[str, Any] = {
    "bias": -1.0,
    "weights": dict.fromkeys(FEATURES, 0.0) | {"margin": -1.0, "distance": 2.0},
    "centres": dict.fromkeys(FEATURES, 0.0) | {"margin": 1.0, "distance": 0.5},
    "threshold": 0.3,
    "reasons": ["low_confidence", "unlike_training"],
}


def features(**changes: float) -> dict[str, float]:
    return dict.fromkeys(FEATURES, 0.0) | {"margin": 1.0, "distance": 0.5} | changes


def test_information_measures_equal_those_of_scipy() -> None:
    assert entropy(SURE) == pytest.approx(float(scipy_entropy(SURE)))
    assert jensen_shannon(SURE, CLOSE) == pytest.approx(float(jensenshannon(SURE, CLOSE)) ** 2)
    assert jensen_shannon(SURE, SURE) == 0.0


def test_the_probability_of_an_error_is_logistic() -> None:
    predictor = ErrorPredictor.from_fields(FIELDS)
    assert predictor.error_probability(features()) == pytest.approx(1 / (1 + math.e))
    shifted = features(margin=0.0, distance=1.0)
    assert predictor.error_probability(shifted) == pytest.approx(1 / (1 + math.exp(-1.0)))


def test_reasons_are_the_contributions_that_raise_the_risk() -> None:
    predictor = ErrorPredictor.from_fields(FIELDS)
    assert predictor.doubts(features(margin=0.0, distance=1.5)) == ("unlike_training", "low_confidence")
    assert predictor.doubts(features(margin=0.0, distance=0.1)) == ("low_confidence",)
    assert predictor.doubts(features(margin=3.0)) == ()


def test_every_reason_is_a_known_one() -> None:
    assert set(REASON_OF_FEATURE) == set(FEATURES)
    assert set(REASON_OF_FEATURE.values()) <= set(REASONS)


def test_a_predictor_round_trip() -> None:
    assert ErrorPredictor.from_fields(FIELDS).fields() == FIELDS


@pytest.mark.parametrize(
    "fields",
    [
        {},
        FIELDS | {"weights": {"margin": 1.0}},
        FIELDS | {"bias": "1"},
        FIELDS | {"threshold": math.nan},
        FIELDS | {"reasons": ["bad_mood"]},
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ErrorPredictor.from_fields(fields)


def test_features_of_a_prediction() -> None:
    found = reliability_features(SURE, SURE, None, distance=0.7, seconds=2.0, snr_db=20.0, history=0.25)
    assert set(found) == set(FEATURES)
    assert found["margin"] == pytest.approx(math.log(0.91 / 0.03))
    assert (found["distance"], found["snr"], found["no_history"]) == (0.7, 2.0, 0.75)
    assert found["divergence"] == 0.0


def evidence(fused: tuple[float, ...], *, voice: float = 0.5, text: bool = False) -> Evidence:
    clip = Clip(noise(32_000))
    code = EncodedAudio(None, clip, np.full(8, voice, np.float32))
    return Evidence(code, fused, fused, fused if text else None, None, 0.0)


def test_reliability_follows_the_predictor() -> None:
    estimate = ReliabilityEstimator(tiny_config(error_predictor=FIELDS, low_snr_db=0.0))
    sure = estimate(evidence(SURE, text=True))
    assert sure.reliable
    assert sure.reasons == ()
    close = estimate(evidence(CLOSE, text=True))
    assert not close.reliable
    assert close.reasons == ("low_confidence",)
    assert close.error_probability is not None
    assert sure.error_probability is not None
    assert close.error_probability > sure.error_probability
    assert estimate(evidence(SURE, voice=9.0, text=True)).reasons == ("unlike_training",)
    assert (estimate(evidence(SURE)).reliable, estimate(evidence(SURE)).reasons) == (True, ("no_text",))


def test_a_predictor_does_not_speak_for_what_it_never_saw() -> None:
    estimate = ReliabilityEstimator(tiny_config(error_predictor=FIELDS))
    noisy = estimate(evidence(SURE, text=True))
    assert (noisy.reliable, noisy.reasons) == (False, ("low_snr",))


def test_without_a_predictor_thresholds_decide_and_missing_words_do_not_count() -> None:
    estimate = ReliabilityEstimator(tiny_config(low_snr_db=0.0))
    quiet = estimate(evidence(SURE))
    assert (quiet.reliable, quiet.reasons, quiet.error_probability) == (True, ("no_text",), None)
    close = estimate(evidence(CLOSE, text=True))
    assert (close.reliable, close.reasons) == (False, ("low_confidence",))


def test_distance_is_relative_to_the_baseline() -> None:
    voice = np.full(4, 3.0, np.float32)
    assert distance(None, None) == 0.0
    assert distance(voice, None) == 3.0
    assert distance(voice, np.full(4, 2.0, np.float32)) == 1.0
