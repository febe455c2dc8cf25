"""Several corpora in one folder, and the votes of listeners."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.training.corpora.collection import read_collection, read_votes, vote_shares
from emostream.training.corpora.example import CorpusError

HEADER = "path,speaker,emotion,emotion_orig,text,gender,lang,split\n"


def corpus(folder: Path, *rows: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        sound = folder / row.split(",")[0]
        sound.parent.mkdir(exist_ok=True)
        sound.touch()
    (folder / "manifest.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")


def test_every_subfolder_is_a_corpus_that_prefixes_its_clips(tmp_path: Path) -> None:
    corpus(tmp_path / "greek", "audio/a.ogg,g1,angry,anger,,f,el,train")
    corpus(
        tmp_path / "bangla", "audio/a.ogg,b1,other,surprise,,m,bn,dev", "audio/b.ogg,b2,sad,sad,,m,bn,train"
    )
    (tmp_path / "text").mkdir()
    examples = read_collection(tmp_path)
    assert [(e.key, e.corpus, e.emotion) for e in examples] == [
        ("bangla/audio/a.ogg", "bangla", "other"),
        ("bangla/audio/b.ogg", "bangla", "sad"),
        ("greek/audio/a.ogg", "greek", "angry"),
    ]
    assert all(e.audio_path.is_file() for e in examples)


def test_a_manifest_keeps_its_names(tmp_path: Path) -> None:
    (tmp_path / "a.ogg").touch()
    (tmp_path / "manifest.csv").write_text("path,emotion,corpus\na.ogg,sad,ravdess\n", encoding="utf-8")
    corpus(tmp_path / "greek", "audio/a.ogg,g1,angry,anger,,f,el,train")
    assert [(e.key, e.corpus) for e in read_collection(tmp_path)] == [
        ("a.ogg", "ravdess"),
        ("greek/audio/a.ogg", "greek"),
    ]


def test_a_missing_manifest_and_a_speaker_in_two_splits_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected manifest\.csv"):
        read_collection(tmp_path)
    corpus(tmp_path / "one", "audio/a.ogg,same,angry,anger,,f,el,train")
    corpus(tmp_path / "two", "audio/a.ogg,same,angry,anger,,f,el,dev")
    with pytest.raises(CorpusError, match="speaker same"):
        read_collection(tmp_path)


def test_votes_are_shares_of_the_four_labels(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text(
        "clip,angry,disgust,fear,happy,neutral,sad,mean_rating\n"
        "1001_A,6,2,0,0,2,0,61.5\n1001_B,0,9,1,0,0,0,50\n",
        encoding="utf-8",
    )
    votes = read_votes(file)
    assert votes["1001_A"] == {"angry": 6, "disgust": 2, "fear": 0, "happy": 0, "neutral": 2, "sad": 0}
    assert vote_shares(votes["1001_A"]) == (0.75, 0.0, 0.0, 0.25)
    assert vote_shares(votes["1001_B"]) is None


def test_votes_that_are_not_numbers_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("clip,angry,happy,sad,neutral\nx,1,two,0,0\n", encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"votes\.csv:2: expected a number of listeners for happy, got 'two'"
    ):
        read_votes(file)
