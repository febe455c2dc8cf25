"""The IEMOCAP reader: consensus labels, words, speakers, sessions, and checks for missing files."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emostream.training.corpora.example import OTHER, CorpusError, Example
from emostream.training.corpora.iemocap import COUNTS, read_iemocap
from emostream.training.corpora.leakage import check_disjoint
from emostream.training.corpora.registry import corpus_alignment, read_corpus
from tests.support.corpus_trees import iemocap_tree


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all tests, read-only."""
    return iemocap_tree(tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release", per_speaker=5)


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(release, tmp_path / "IEMOCAP_full_release"))


def read(root: Path) -> dict[str, Example]:
    return {example.key.removeprefix("iemocap/"): example for example in read_iemocap(root, expected=None)}


def test_an_utterance(release: Path) -> None:
    assert read(release)["Ses03M_script01_1_F000"] == Example(
        corpus="iemocap",
        key="iemocap/Ses03M_script01_1_F000",
        emotion="happy",
        emotion_orig="hap",
        path=release / "Session3/sentences/wav/Ses03M_script01_1/Ses03M_script01_1_F000.wav",
        words="This feels so good.",
        speaker="iemocap_Ses03F",
        dialogue="iemocap_Ses03M_script01_1",
        group="Session3",
    )


def test_the_speaker_is_the_one_of_the_utterance_not_of_the_markers(release: Path) -> None:
    assert read(release)["Ses01F_impro01_M001"].speaker == "iemocap_Ses01M"


def test_turns_with_other_names_need_no_words_and_no_label(release: Path) -> None:
    """A turn without a label is left out."""
    found = read(release)
    assert (release / "Session3/sentences/wav/Ses03F_impro01/Ses03F_impro01_FXX1.wav").is_file()
    assert [utterance for utterance in found if "XX" in utterance] == ["Ses03F_impro01_FXX0"]
    example = found["Ses03F_impro01_FXX0"]
    assert (example.emotion, example.emotion_orig, example.words) == (OTHER, "xxx", "")
    assert (example.speaker, example.dialogue) == ("iemocap_Ses03F", "iemocap_Ses03F_impro01")


def test_utterances_with_other_labels_need_audio(copy: Path) -> None:
    complete = read(copy)
    drop("Session3/sentences/wav/Ses03F_impro01/Ses03F_impro01_FXX0.wav")(copy)
    assert complete.keys() - read(copy).keys() == {"Ses03F_impro01_FXX0"}


def test_excited_is_happy_and_the_rest_is_other(release: Path) -> None:
    labels = {(example.emotion_orig, example.emotion) for example in read(release).values()}
    assert labels == {
        ("ang", "angry"),
        ("hap", "happy"),
        ("exc", "happy"),
        ("neu", "neutral"),
        ("sad", "sad"),
        ("fru", OTHER),
        ("xxx", OTHER),
    }


def test_noises_in_brackets_are_not_words(release: Path) -> None:
    words = {example.words for example in read(release).values()}
    assert "So good, yes." in words
    assert not any("LAUGHTER" in text for text in words)


def test_the_parent_folder_of_the_release_is_accepted(release: Path) -> None:
    assert read(release.parent) == read(release)


def test_sessions_and_speakers_are_dialogue_disjoint(release: Path) -> None:
    sessions: dict[str, list[Example]] = {}
    for example in read(release).values():
        sessions.setdefault(example.group, []).append(example)
    assert len(sessions) == 5
    check_disjoint(sessions)
    assert all(len({example.speaker for example in session}) == 2 for session in sessions.values())
    assert all({example.emotion for example in session} == {*COUNTS, OTHER} for session in sessions.values())


def test_the_bundled_alignment_has_the_words_of_the_transcript(release: Path) -> None:
    for example in read(release).values():
        if not example.words:
            continue
        alignment = corpus_alignment(example)
        assert alignment is not None
        assert [word.text for word in alignment.words] == example.words.upper().translate(
            str.maketrans("", "", ",.!?")
        ).split()
        assert len(alignment.syllables) == len(alignment.words) <= len(alignment.phones)


def test_other_corpora_have_no_alignment(release: Path) -> None:
    example = read(release)["Ses01F_impro01_M000"]
    assert corpus_alignment(replace(example, corpus="ravdess")) is None
    assert (
        corpus_alignment(replace(example, path=Path("Session1/sentences/wav/Ses01F_x/Ses01F_x_F000.wav")))
        is None
    )


def test_the_counts_of_the_four_classes_are_checked(release: Path) -> None:
    """Five utterances of each of ten actors: two of them happy, one excited."""
    assert read_iemocap(release, expected={"angry": 10, "happy": 20, "neutral": 10, "sad": 10})
    with pytest.raises(CorpusError) as caught:
        read_corpus("iemocap", release)
    assert str(caught.value) == (
        "expected angry 1,103, happy 1,636, neutral 1,708, sad 1,084 utterances of IEMOCAP, "
        "got angry 10, happy 20, neutral 10, sad 10: unpack the release again"
    )
    assert sum(COUNTS.values()) == 5531
    counts = Counter(example.emotion for example in read_corpus("iemocap", release, part=True))
    assert counts == {"angry": 10, "happy": 20, "neutral": 10, "sad": 10, OTHER: 21}


EVALUATION = "Session2/dialog/EmoEvaluation/Ses02F_impro01.txt"
SOUND = "Session4/sentences/wav/Ses04F_impro01/Ses04F_impro01_M000.wav"


def drop(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return change


def replace_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text(encoding="latin-1")
        assert old in text
        (root / name).write_text(text.replace(old, new), encoding="latin-1")

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            drop("Session3"),
            "expected a folder for each of Session1 to Session5 in .*, got none for Session3:",
        ),
        (
            drop(SOUND),
            "expected an audio file for each utterance of .*Session4, got none for Ses04F_impro01_M000:",
        ),
        (drop("Session1/dialog/EmoEvaluation"), "expected labels in .*EmoEvaluation, got none:"),
        (
            drop("Session5/dialog/transcriptions"),
            "a transcript for each utterance of .*Session5, got none for Ses05F_impro01_F000 and 9 more:",
        ),
        (
            replace_text(EVALUATION, "\tang\t", "\tanx\t"),
            "Ses02F_impro01_F000: expected one of angry, happy, sad, neutral, other .*, got 'anx':",
        ),
        (
            replace_text(EVALUATION, "\tang\t", " "),
            "Ses02F_impro01.txt:3: expected time, utterance, label and",
        ),
    ],
)
def test_missing_or_damaged_files_are_named(
    copy: Path, change: Callable[[Path], None], complaint: str
) -> None:
    change(copy)
    with pytest.raises(CorpusError, match=complaint) as caught:
        read_iemocap(copy, expected=None)
    assert "\n" not in str(caught.value)


def test_missing_labels_are_noticed_by_their_count(copy: Path) -> None:
    drop(EVALUATION)(copy)
    with pytest.raises(CorpusError, match="expected angry 10, happy 20, neutral 10, sad 10 utterances"):
        read_iemocap(copy, expected={"angry": 10, "happy": 20, "neutral": 10, "sad": 10})


def test_a_folder_of_another_corpus(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            CorpusError, match=r"expected IEMOCAP with Session\[1-5\] in it, got .*: give the"
        ):
            read_iemocap(root)
