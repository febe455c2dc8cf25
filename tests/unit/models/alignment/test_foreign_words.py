"""Words in an English sentence without an English pronunciation."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import Clip, Span, Transcript, Word
from emostream.models.alignment.forced import ForcedAligner
from emostream.models.alignment.word_spans import align_from_transcript
from tests.support.alignments import align
from tests.support.synthesis import Spoken, speak

SENTENCE = "the next train leaves at nine in the morning"
SILENCE = np.zeros(1_000, np.float32)
CYRILLIC, HAN = "\u043f\u043e\u0435\u0437\u0434", "\u4f60\u597d"


@pytest.fixture(scope="module")
def aligner() -> ForcedAligner:
    return ForcedAligner()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    return speak(SENTENCE, "slt", tmp_path_factory.mktemp("train"))


def test_a_word_without_pronunciation_fills_the_gap_between_its_neighbours(
    aligner: ForcedAligner, train: Spoken
) -> None:
    text = f"the next {CYRILLIC} leaves at nine in the morning"
    found = align(aligner, train.samples, text)
    assert found.method == "forced"
    assert [word.text for word in found.words] == text.split()
    assert (found.words[2].start, found.words[2].end) == (found.words[1].end, found.words[3].start)
    whole = align(aligner, train.samples, SENTENCE)
    assert found.words[4:] == whole.words[4:]
    without = tuple(span for span in whole.syllables if span.text != "T-R-EY-N")
    assert [span.text for span in found.syllables] == [span.text for span in without]


def test_at_the_edges_it_extends_to_the_ends_of_the_clip(aligner: ForcedAligner, train: Spoken) -> None:
    """Two in one gap share it in proportion to their letters; a dash gets no time."""
    text = f"{CYRILLIC} next train - leaves at nine in the {HAN} - {HAN[0]}"
    words = align(aligner, train.samples, text).words
    assert (words[0].start, words[0].end) == (0, words[1].start)
    start, end = words[-4].end, len(train.samples)
    third = start + (end - start) * 2 // 3
    spans = [(word.start, word.end) for word in words[-3:]]
    assert spans == [(start, third), (third, third), (third, end)]
    assert end > third > start


def test_spread_phones_do_not_overlap_it(aligner: ForcedAligner) -> None:
    words = (Word("Next", 0, 400), Word(HAN, 400, 600, 0.5), Word("train", 600, 1000))
    (found,) = aligner.align([Clip(SILENCE)], [Transcript(f"Next {HAN} train", "en", words)])
    assert found.words == words
    assert found.syllables == (Span("N-EH-K-S-T", 0, 400), Span("T-R-EY-N", 600, 1000))


def test_every_letter_of_the_latin_script_has_a_pronunciation(aligner: ForcedAligner, train: Spoken) -> None:
    found = align(aligner, train.samples, "the next tr\u00e6n \u0141eaves at nine in the m\u00f8rning")
    plain = align(aligner, train.samples, "the next traen leaves at nine in the morning")
    assert found.method == "forced"
    assert (found.syllables, found.phones) == (plain.syllables, plain.phones)


@pytest.mark.parametrize("others", [1, 2, 3])
def test_a_majority_without_pronunciation_gives_words_only(
    aligner: ForcedAligner, train: Spoken, others: int
) -> None:
    transcript = Transcript(" ".join(["hello - there", *[CYRILLIC] * others]))
    (found,) = aligner.align([Clip(train.samples)], [transcript])
    alone = align_from_transcript(transcript, len(train.samples))
    assert (found == alone) == (others > 2)
