r"""IEMOCAP (Busso et al. 2008) as released to licence holders, the folder `IEMOCAP_full_release`.

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt
        [6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
    Session1/dialog/transcriptions/Ses01F_impro01.txt
        Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav

The label is the annotators' consensus, `xxx` where there is none. A dialogue is named after the actor who
wears the markers; the speaker is the letter of the utterance. Some turns are numbered otherwise, such as
`Ses03F_impro06_FXX1`, and may lack a label or words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .example import OTHER, CorpusError, Example
from .files import check_none_missing, corpus_root, list_files, read_lines
from .labels import label_of

CORPUS: Final = "iemocap"
SESSIONS: Final = tuple(f"Session{number}" for number in range(1, 6))

COUNTS: Final[Mapping[str, int]] = {"angry": 1103, "happy": 1636, "neutral": 1708, "sad": 1084}
"""The 4-class set of the field, excited counted as happy: 5,531 utterances."""

_LABEL: Final = re.compile(r"\[[\d.]+ - [\d.]+\]\s+(Ses0[1-5][FM]_\w+_[FM][^\W_]+)\s+([a-z]{3})\s+\[.*\]\s*")
_TRANSCRIPT: Final = re.compile(r"(Ses\S+)\s+\[[^]]*\]:(.*)")
_NOISE: Final = re.compile(r"\[[^]]*\]")
"""`[LAUGHTER]`, `[BREATHING]`: not a word, and no transcriber outputs it."""
_ENCODINGS: Final = ("utf-8", "cp1252", "latin-1")
_AGAIN: Final = "unpack the release again"


def read_iemocap(root: Path, *, expected: Mapping[str, int] | None = COUNTS) -> list[Example]:
    """All labelled utterances of the five sessions, in order; `group` is the session.

    root: the release, or the folder above it. emotion_orig keeps the corpus's code, `exc` among them.
    expected: examples of each of the four labels; None for a part of the corpus. Utterances with audio and
    no label, or with another label than the four and no audio, are left out.

    Raises CorpusError for a missing session, an utterance of the four labels without audio or transcript, and
    counts other than the expected.
    """
    root = corpus_root(root, "Session[1-5]", "IEMOCAP")
    check_none_missing(
        (session for session in SESSIONS if not (root / session).is_dir()),
        f"a folder for each of {SESSIONS[0]} to {SESSIONS[-1]} in {root}",
        _AGAIN,
    )
    sessions = [_read_session(root / name) for name in SESSIONS]
    examples = [
        _example(session, utterance)
        for session in sessions
        for utterance in sorted(session.labels.keys() & session.audio.keys())
    ]
    if expected is not None:
        _check_counts(examples, expected)
    return examples


@dataclass(frozen=True, slots=True)
class _Session:
    """One session, by utterance: consensus labels, our emotions, words where there are any, audio files."""

    name: str
    labels: Mapping[str, str]
    emotions: Mapping[str, str]
    words: Mapping[str, str]
    audio: Mapping[str, Path]


def _read_session(folder: Path) -> _Session:
    labels: dict[str, str] = {}
    words: dict[str, str] = {}
    for path in list_files(folder / "dialog" / "EmoEvaluation", "Ses*.txt"):
        labels |= _labels(path)
    for path in list_files(folder / "dialog" / "transcriptions", "Ses*.txt"):
        words |= _words(path)
    if not labels:
        raise CorpusError(f"expected labels in {folder / 'dialog' / 'EmoEvaluation'}, got none: {_AGAIN}")
    audio = {path.stem: path for path in list_files(folder / "sentences" / "wav", "*/*.wav")}
    emotions = {utterance: label_of(label, utterance) for utterance, label in labels.items()}
    required = {utterance for utterance, emotion in emotions.items() if emotion != OTHER}
    check_none_missing(required - audio.keys(), f"an audio file for each utterance of {folder}", _AGAIN)
    check_none_missing(required - words.keys(), f"a transcript for each utterance of {folder}", _AGAIN)
    return _Session(folder.name, labels, emotions, words, audio)


def _labels(path: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, *_ENCODINGS), start=1):
        if not line.startswith("["):
            continue
        found = _LABEL.fullmatch(line)
        if found is None:
            raise CorpusError(
                f"{path}:{number}: expected time, utterance, label and [v, a, d], got {line!r}: {_AGAIN}"
            )
        labels[found[1]] = found[2]
    return labels


def _words(path: Path) -> dict[str, str]:
    found = (_TRANSCRIPT.fullmatch(line) for line in read_lines(path, *_ENCODINGS))
    return {match[1]: " ".join(_NOISE.sub(" ", match[2]).split()) for match in found if match}


def _example(session: _Session, utterance: str) -> Example:
    dialogue, _, turn = utterance.rpartition("_")
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{utterance}",
        emotion=session.emotions[utterance],
        emotion_orig=session.labels[utterance],
        path=session.audio[utterance],
        words=session.words.get(utterance, ""),
        speaker=f"{CORPUS}_{dialogue[:5]}{turn[0]}",  # Ses01 and F
        dialogue=f"{CORPUS}_{dialogue}",
        group=session.name,
    )


def _check_counts(examples: Sequence[Example], expected: Mapping[str, int]) -> None:
    counts = Counter(example.emotion for example in examples if example.emotion != OTHER)
    if counts != expected:
        expected_text, actual_text = (
            ", ".join(f"{label} {table[label]:,}" for label in expected) for table in (expected, counts)
        )
        raise CorpusError(f"expected {expected_text} utterances of IEMOCAP, got {actual_text}: {_AGAIN}")
