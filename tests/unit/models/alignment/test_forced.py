"""Forced alignment: the true times in synthetic speech, no word lost, and a fallback for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emostream.models import Alignment, Clip, Samples, Span, TranscriberError, Transcript, Word
from emostream.models.alignment.forced import ForcedAligner
from emostream.models.alignment.word_spans import align_from_transcript
from tests.support.alignments import align
from tests.support.synthesis import Spoken, speak

SENTENCES = [
    "the next train leaves at nine in the morning",
    "she had your dark suit in greasy wash water all year",
    "don't ask me to carry an oily rag like that",
    "the quick brown fox jumps over the lazy dog",
    "please call stella and ask her to bring these things with her from the store",
    "a rainbow is a division of white light into many beautiful colors",
]


@pytest.fixture(scope="module")
def aligner() -> ForcedAligner:
    return ForcedAligner()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    return speak(SENTENCES[0], "slt", tmp_path_factory.mktemp("train"))


def deviations_ms(found: Alignment, spoken: Spoken, edges: set[int]) -> Iterator[float]:
    """How far the phone boundaries at `edges` lie from the synthesiser's, where both have the same phones.

    Both pronounce by a dictionary of their own, so stretches of different length are left out.
    """
    theirs, ours = spoken.phones, found.phones
    matcher = SequenceMatcher(None, [p.text for p in theirs], [p.text for p in ours], autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind in ("equal", "replace") and i_end - i == j_end - j:
            for their, our in zip(theirs[i:i_end], ours[j:j_end], strict=True):
                if our.start in edges:
                    yield (our.start - their.start) / 16
                if our.end in edges:
                    yield (our.end - their.end) / 16


def boundary_deviations(
    aligner: ForcedAligner, voice: str, tier: str, into: Path, level: float
) -> list[float]:
    """Over all sentences, scaled by `level`; 0.0 is silence."""
    deviations: list[float] = []
    boundaries = 0
    for text in SENTENCES:
        spoken = speak(text, voice, into)
        found = align(aligner, spoken.samples * np.float32(level), text)
        assert found.method == ("forced" if level else "even")
        spans: Sequence[Word | Span] = found.words if tier == "words" else found.phones
        deviations += deviations_ms(
            found, spoken, {edge for span in spans for edge in (span.start, span.end)}
        )
        boundaries += 2 * len(spans)
    assert len(deviations) > 0.9 * boundaries, "the two must pronounce alike, or this means nothing"
    return deviations


def accurate(deviations: list[float]) -> bool:
    """Half of them within 15 ms, a frame and a half, and 95 % within 60 ms, a short phone."""
    return bool(np.median(np.abs(deviations)) <= 15 and np.mean(np.abs(deviations) <= 60) >= 0.95)


@pytest.mark.parametrize("tier", ["words", "phones"])
@pytest.mark.parametrize(
    "voice", ["kal", pytest.param("slt", marks=pytest.mark.long), pytest.param("rms", marks=pytest.mark.long)]
)
def test_boundaries_are_those_of_the_synthesiser(
    aligner: ForcedAligner, tmp_path: Path, voice: str, tier: str
) -> None:
    assert accurate(boundary_deviations(aligner, voice, tier, tmp_path, level=1.0))


def test_an_even_split_fails_the_same_criterion(aligner: ForcedAligner, tmp_path: Path) -> None:
    assert not accurate(boundary_deviations(aligner, "slt", "words", tmp_path, level=0.0))


def test_tiers_of_a_sentence(aligner: ForcedAligner, train: Spoken) -> None:
    text = "The next train leaves at nine -- in the morning!"
    found = align(aligner, train.samples, text)
    assert [word.text for word in found.words] == text.split()
    assert [span.text for span in found.syllables[:3]] == ["DH-AH", "N-EH-K-S-T", "T-R-EY-N"]
    assert [span.text for span in found.syllables[-2:]] == ["M-AO-R", "N-IH-NG"]
    assert (found.words[1].start, found.words[1].end) == (found.syllables[1].start, found.syllables[1].end)
    nine, dashes = found.words[5:7]
    assert dashes == Word("--", nine.end, nine.end)


def test_texts_and_probabilities_of_the_transcriber_are_kept(aligner: ForcedAligner, train: Spoken) -> None:
    """Its times are replaced."""
    words = tuple(Word(text, 0, 100, 0.25) for text in SENTENCES[0].split())
    transcript = Transcript(SENTENCES[0], "en", words)
    (found,) = aligner.align([Clip(train.samples)], [transcript])
    assert [(word.text, word.confidence) for word in found.words] == [(word.text, 0.25) for word in words]
    assert found.words[-1].start > 16_000


def test_silence_is_in_no_word(aligner: ForcedAligner, train: Spoken) -> None:
    quiet = np.random.default_rng(0).normal(0.0, 1e-4, 16_000).astype(np.float32)
    found = align(aligner, np.concatenate([quiet, train.samples, quiet]), SENTENCES[0])
    alone = align(aligner, train.samples, SENTENCES[0])
    assert found.words[0].start > 16_000
    assert found.words[-1].end < 16_000 + len(train.samples)
    shifts = [a.start - b.start - 16_000 for a, b in zip(found.words, alone.words, strict=True)]
    assert np.max(np.abs(shifts)) <= 800


def test_a_number_spans_all_its_spoken_words(aligner: ForcedAligner, tmp_path: Path) -> None:
    spoken = speak("the train leaves at nine thirty in the morning", "slt", tmp_path)
    words = align(aligner, spoken.samples, "the train leaves at nine thirty in the morning").words
    digits = align(aligner, spoken.samples, "the train leaves at 9:30 in the morning").words
    assert (digits[4].start, digits[4].end) == (words[4].start, words[5].end)
    assert digits[5:] == words[6:]


def test_a_word_outside_the_dictionary_is_aligned(aligner: ForcedAligner, tmp_path: Path) -> None:
    text = "i saw gryffindor students in the morning"
    spoken = speak(text, "slt", tmp_path)
    found = align(aligner, spoken.samples, text)
    assert found.method == "forced"
    assert found.words[1].end <= found.words[2].start
    start_of_students = next(span.start for span in spoken.phones if span.text == "UW") - 3_200
    assert abs(found.words[3].start - start_of_students) < 1_600


@pytest.mark.long
def test_clips_are_aligned_independently(aligner: ForcedAligner, train: Spoken, tmp_path: Path) -> None:
    other = speak("zorblax and flimflammery went to gryffindor", "rms", tmp_path)
    clips = [Clip(other.samples), Clip(train.samples), Clip(train.samples[:3_000]), Clip(train.samples)]
    texts = ["zorblax and flimflammery went to gryffindor", SENTENCES[0], SENTENCES[1], SENTENCES[0]]
    together = aligner.align(clips, [Transcript(text) for text in texts])
    for clip, text, alignment in zip(clips, texts, together, strict=True):
        assert ForcedAligner().align([clip], [Transcript(text)]) == [alignment]


SILENCE = np.zeros(1_000, np.float32)


def test_if_alignment_fails_phones_are_spread_over_their_words(aligner: ForcedAligner) -> None:
    words = (Word("Next", 0, 500, 0.5), Word("train?", 600, 1000), Word("Away!", 1000, 1000))
    (found,) = aligner.align([Clip(SILENCE)], [Transcript("Next train? Away!", "en", words)])
    assert found.method == "word_times"
    assert found.words == words
    next_train = [("N", 0), ("EH", 100), ("K", 200), ("S", 300), ("T", 400)]
    next_train += [("T", 600), ("R", 700), ("EY", 800), ("N", 900)]
    assert found.phones[:9] == tuple(Span(phone, start, start + 100) for phone, start in next_train)
    assert found.syllables == (
        Span("N-EH-K-S-T", 0, 500),
        Span("T-R-EY-N", 600, 1000),
        Span("AH", 1000, 1000),
        Span("W-EY", 1000, 1000),
    )


@pytest.mark.parametrize(
    ("samples", "text", "phones"),
    [
        (np.zeros(0, np.float32), "hello", 4),
        (np.ones(100, np.float32), "hello", 4),
        (SILENCE, "hello", 4),
        (np.full(16_000, np.nan, np.float32), "hello", 4),
        (np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32), "hello " * 50, 200),
    ],
    ids=["empty", "too short", "silent", "nothing but NaN", "more words than sound"],
)
def test_the_fallback_is_an_even_split(
    aligner: ForcedAligner, samples: Samples, text: str, phones: int
) -> None:
    found = align(aligner, samples, text)
    assert found.method == "even"
    assert found.words == align_from_transcript(Transcript(text), len(samples)).words
    assert len(found.phones) == phones


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("dobry wiecz\u00f3r", "pl"),
        ("guten morgen", "de-CH"),
        ("\u0434\u043e\u0431\u0440\u043e\u0435 \u0443\u0442\u0440\u043e", None),
    ],
)
def test_other_languages_have_words_only(
    aligner: ForcedAligner, train: Spoken, text: str, language: str | None
) -> None:
    transcript = Transcript(text, language)
    assert align(aligner, train.samples, text, language) == align_from_transcript(
        transcript, len(train.samples)
    )


@pytest.mark.parametrize(
    ("hint", "transcriber_language", "method"),
    [
        ("de", None, "even"),
        ("de", "en", "even"),  # an English-only transcriber: its text is not reliable
        ("en_US", "en", "forced"),
        ("en-GB", None, "forced"),
        (None, "en-US", "forced"),
        (None, "de", "even"),
        (None, None, "forced"),
    ],
)
def test_the_language_hint_overrides_the_transcriber(
    aligner: ForcedAligner, train: Spoken, hint: str | None, transcriber_language: str | None, method: str
) -> None:
    clip, transcript = Clip(train.samples, hint), Transcript(SENTENCES[0], transcriber_language)
    assert aligner.align([clip], [transcript])[0].method == method


@pytest.mark.parametrize("transcript", [None, Transcript(""), Transcript("   "), Transcript("", words=())])
def test_empty_transcripts_have_no_alignment(aligner: ForcedAligner, transcript: Transcript | None) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    assert aligner.align([Clip(noise)], [transcript]) == [Alignment()]
    assert aligner.align([], []) == []


WRITTEN = st.sampled_from(["a", "the", "9", "-", "\u00e9t\u00e9", "zzq", "I'm", "\u4f60", "1e9"])


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(max_size=40) | st.lists(WRITTEN).map(" ".join),
    samples=st.integers(0, 16_000),
    loudest=st.sampled_from([0.0, 1e-4, 0.3, 2.0, np.inf, np.nan]),
)
def test_any_text_with_any_audio(aligner: ForcedAligner, text: str, samples: int, loudest: float) -> None:
    noise = np.random.default_rng(samples).choice([-loudest, 0.0, loudest], samples).astype(np.float32)
    found = align(aligner, noise, text)
    assert [word.text for word in found.words] == text.split()


def test_a_missing_model_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("Failed to initialize\nPocketSphinx")

    monkeypatch.setattr("pocketsphinx.Decoder", fail)
    with pytest.raises(TranscriberError, match="reinstall pocketsphinx") as caught:
        ForcedAligner()
    assert "\n" not in str(caught.value)
