"""The recognizer's contract: any clip, any words, results in number and order of the input."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import (
    LABELS,
    Clip,
    EmotionInput,
    Recognizer,
    Samples,
    Transcript,
    Word,
    load_recognizer,
)
from emostream.models.alignment.word_spans import word_spans
from emostream.models.recognition import Recognition
from tests.support.tiny_emotion import noise


@pytest.fixture(scope="module")
def recognizer() -> Recognition:
    return load_recognizer(device="cpu")


def broken(value: float) -> Samples:
    clip = noise(16_000)
    clip[4000:5000] = value
    return clip


ODD_CLIPS = {
    "no sample": np.zeros(0, np.float32),
    "one sample": np.ones(1, np.float32),
    "below one frame": noise(719),
    "one frame": noise(720),
    "digital silence": np.zeros(16_000, np.float32),
    "constant": np.full(16_000, 0.5, np.float32),
    "not a number": broken(np.nan),
    "infinite": broken(np.inf),
    "all not a number": np.full(8000, np.nan, np.float32),
    "clipped": np.sign(noise(16_000)),
    "huge": 1e30 * noise(16_000),
    "28 seconds": noise(28 * 16_000),
}


@pytest.mark.parametrize("name", ODD_CLIPS)
@pytest.mark.parametrize(
    "words", [None, "", "?!", "i am so happy", "word " * 400, "\u65e5\u672c\u8a9e \U0001f600"]
)
def test_any_clip_and_any_words_give_probabilities(
    recognizer: Recognition, name: str, words: str | None
) -> None:
    speech = EmotionInput(Clip(ODD_CLIPS[name]), None if words is None else Transcript(words))
    prediction = recognizer.recognize([speech])[0]
    for shares in filter(None, (prediction.probabilities, prediction.audio_only, prediction.text_only)):
        assert np.isfinite(shares).all()
        assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    assert prediction.confidence == max(prediction.probabilities)
    assert prediction.label == LABELS[prediction.probabilities.index(prediction.confidence)]


def test_no_clips_give_no_predictions(recognizer: Recognition) -> None:
    assert recognizer.encode([]) == []
    assert recognizer.align([], []) == []
    assert recognizer.fuse([], [], []) == []
    assert recognizer.recognize([]) == []


def test_it_implements_the_protocol() -> None:
    recognizer: Recognizer = load_recognizer(device="cpu")
    assert recognizer.labels == LABELS
    assert recognizer.device == "cpu"
    assert "bundled" in recognizer.name


def test_codes_and_transcripts_must_be_equal_in_number(recognizer: Recognition) -> None:
    codes = recognizer.encode([Clip(noise(8000))])
    with pytest.raises(ValueError, match="as many"):
        recognizer.fuse(codes, [], [])


@pytest.mark.parametrize(
    ("length", "words", "reason"),
    [(4000, "hello", "too_short"), (16_000, None, "no_text"), (16_000, "...", "no_text")],
)
def test_reasons_of_uncertainty(recognizer: Recognition, length: int, words: str | None, reason: str) -> None:
    transcript = None if words is None else Transcript(words)
    assert reason in recognizer.recognize([EmotionInput(Clip(noise(length)), transcript)])[0].uncertain


def test_noise_has_a_low_snr_and_missing_text_has_no_scores(recognizer: Recognition) -> None:
    steady = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    prediction = recognizer.recognize([EmotionInput(Clip(steady))])[0]
    assert "low_snr" in prediction.uncertain
    assert prediction.text_only is None


def test_a_transcript_changes_the_fused_scores_and_not_audio_only(recognizer: Recognition) -> None:
    clip = Clip(noise(32_000))
    silent, happy, angry = recognizer.recognize(
        [
            EmotionInput(clip),
            EmotionInput(clip, Transcript("i am so happy")),
            EmotionInput(clip, Transcript("i hate you")),
        ]
    )
    assert silent.audio_only == pytest.approx(happy.audio_only, abs=1e-5)
    assert happy.probabilities != pytest.approx(angry.probabilities, abs=1e-3)


def test_words_in_an_unknown_language_leave_the_label_to_the_audio(recognizer: Recognition) -> None:
    clip, hinted = Clip(noise(32_000)), Clip(noise(32_000), "de-AT")
    silent, polish, german, english = recognizer.recognize(
        [
            EmotionInput(clip),
            EmotionInput(clip, Transcript("jestem bardzo happy", "pl")),
            EmotionInput(hinted, Transcript("i am so happy", "en")),  # what an English-only model makes of it
            EmotionInput(clip, Transcript("i am so happy", "en")),
        ]
    )
    for foreign in (polish, german):
        assert foreign.probabilities == pytest.approx(silent.probabilities, abs=1e-6)
        assert foreign.text_only is None
        assert "unsupported_language" in foreign.uncertain
        assert "no_text" not in foreign.uncertain
    assert english.text_only is not None
    assert "unsupported_language" not in english.uncertain


def test_without_audio_words_in_an_unknown_language_are_all_there_is(recognizer: Recognition) -> None:
    (prediction,) = recognizer.recognize([EmotionInput(None, Transcript("jestem bardzo happy", "pl"))])
    assert prediction.text_only is not None
    assert prediction.uncertain[0] == "unsupported_language"


class TestAlign:
    def test_given_times_stay_inside_the_clip_and_in_order(self) -> None:
        words = (Word("a", -50, 400, 0.9), Word("b", 300, 5000), Word("c", 100, 200), Word("d", 9000, 9100))
        spans = word_spans(Transcript("a b c d", words=words), 1000)
        assert [(w.text, w.start, w.end, w.confidence) for w in spans] == [
            ("a", 0, 400, 0.9),
            ("b", 300, 1000, None),
            ("c", 300, 300, None),
            ("d", 1000, 1000, None),
        ]

    def test_without_times_the_clip_is_split_by_length(self) -> None:
        spans = word_spans(Transcript("so happy today"), 1200)
        assert [(w.text, w.start, w.end) for w in spans] == [
            ("so", 0, 200),
            ("happy", 200, 700),
            ("today", 700, 1200),
        ]

    @pytest.mark.parametrize("transcript", [None, Transcript(""), Transcript("  ")])
    def test_an_empty_transcript(self, transcript: Transcript | None) -> None:
        assert word_spans(transcript, 1000) == ()

    def test_an_empty_clip_has_empty_words(self) -> None:
        assert [(w.start, w.end) for w in word_spans(Transcript("hello there"), 0)] == [(0, 0), (0, 0)]
