"""The reader of IEMOCAP's alignments, in the format of Sphinx-3's aligner."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.models import Span, Word
from emostream.training.corpora.example import CorpusError
from emostream.training.corpora.iemocap_alignment import read_alignment

UTTERANCE = "Ses01F_impro01_F000"

WORDS = [
    (0, 41, -166721, "<s>"),
    (42, 58, -108302, "IT'S(2)"),
    (59, 80, -50000, "<sil>"),
    (81, 120, -1, "++LAUGHTER++"),
    (121, 150, -99, "HERE"),
    (151, 160, -7, "</s>"),
]
SYLLABLES = [(0, 41, -166721, "SIL"), (42, 58, -108302, "IH_T_S"), (121, 150, -99, "HH_IY_R")]
PHONES = [
    (0, 41, -166721, "SIL"),
    (42, 46, -10, "IH SIL T b"),
    (47, 50, -10, "T IH S i"),
    (51, 58, -10, "S T SIL e"),
    (59, 80, -10, "SIL"),
    (81, 120, -10, "+LAUGHTER+"),
    (121, 130, -10, "HH SIL IY b"),
    (131, 140, -10, "IY HH R i"),
    (141, 150, -10, "R IY SIL e"),
    (151, 160, -10, "SIL"),
]


def write(folder: Path, ending: str, segments: list[tuple[int, int, int, str]], score_width: int = 9) -> Path:
    """The file as printf writes it: "\\t%5d %5d %9d %s\\n", with header, and the total score at the end."""
    path = folder / f"{UTTERANCE}.{ending}"
    header = f"\t{'SFrm':>5} {'EFrm':>5} {'SegAScr':>{score_width}} Name\n"
    lines = [f"\t{s:5d} {e:5d} {score:{score_width}d} {name}\n" for s, e, score, name in segments]
    total = sum(score for _, _, score, _ in segments)
    path.write_text("".join([header, *lines, f" Total score: {total:11d}\n"]))
    return path


def frames(start: int, end: int) -> tuple[int, int]:
    """Sample bounds of a segment from its first and last frame."""
    return start * 160, (end + 1) * 160


def test_the_three_tiers_of_an_utterance(tmp_path: Path) -> None:
    write(tmp_path, "wdseg", WORDS, score_width=10)
    write(tmp_path, "syseg", SYLLABLES)
    write(tmp_path, "phseg", PHONES)
    alignment = read_alignment(tmp_path, UTTERANCE)
    assert alignment is not None
    assert alignment.method == "forced"
    assert alignment.words == (Word("IT'S", *frames(42, 58)), Word("HERE", *frames(121, 150)))
    assert alignment.syllables == (Span("IH-T-S", *frames(42, 58)), Span("HH-IY-R", *frames(121, 150)))
    assert alignment.phones == (
        Span("IH", *frames(42, 46)),
        Span("T", *frames(47, 50)),
        Span("S", *frames(51, 58)),
        Span("HH", *frames(121, 130)),
        Span("IY", *frames(131, 140)),
        Span("R", *frames(141, 150)),
    )


def test_an_utterance_without_files() -> None:
    assert read_alignment(Path("nowhere"), "Ses03M_impro03_M001") is None


def test_words_only(tmp_path: Path) -> None:
    write(tmp_path, "wdseg", WORDS)
    alignment = read_alignment(tmp_path, UTTERANCE)
    assert alignment is not None
    assert len(alignment.words) == 2
    assert (alignment.syllables, alignment.phones) == ((), ())


@pytest.mark.parametrize("name", ["IH_T_S", "IH-T-S", "ih t s", "IH T S"])
def test_syllable_names_are_normalized(tmp_path: Path, name: str) -> None:
    write(tmp_path, "wdseg", [])
    write(tmp_path, "syseg", [(0, 9, -1, name)])
    alignment = read_alignment(tmp_path, UTTERANCE)
    assert alignment is not None
    assert alignment.syllables == (Span("IH-T-S", 0, 1600),)


def test_other_line_ends_empty_lines_and_no_total_are_accepted(tmp_path: Path) -> None:
    text = "\t SFrm  EFrm    SegAScr Word\r\n\r\n\t    3     5         -1 ALL\u00c9(2)\r\n"
    (tmp_path / f"{UTTERANCE}.wdseg").write_bytes(text.encode("latin-1"))
    alignment = read_alignment(tmp_path, UTTERANCE)
    assert alignment is not None
    assert alignment.words == (Word("ALL\u00c9", 480, 960),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("   12    3x        -4 NO", "expected `start end score name`"),
        ("   12    30", "expected `start end score name`"),
        ("   -1    30       -4 NO", "expected `start end score name`"),
        ("   12    11        -4 NO", "expected frames in order from 10 on, got 12 to 11"),
        ("    9    11        -4 NO", "expected frames in order from 10 on, got 9 to 11"),
        ("\x00\xff\xfe", "expected `start end score name`"),
    ],
)
@pytest.mark.parametrize("ending", ["wdseg", "syseg", "phseg"])
def test_a_damaged_line_is_named(tmp_path: Path, ending: str, line: str, message: str) -> None:
    write(tmp_path, "wdseg", [])
    path = write(tmp_path, ending, [(0, 9, -1, "AH")])
    sound = path.read_text().splitlines()
    path.write_text("\n".join([*sound[:2], line, *sound[2:]]), encoding="latin-1")
    with pytest.raises(CorpusError) as caught:
        read_alignment(tmp_path, UTTERANCE)
    assert str(caught.value).startswith(f"{path}:3: {message}")
    assert "\n" not in str(caught.value)
