"""Tiny corpora of acted speech on disk: real file names, real lines, noise as audio."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.support.corpus_trees import write_lines, write_sound


def crema_d_tree(root: Path) -> Path:
    """Two actors, one of them with the odd name and the silent file of the release."""
    names = {"1001_DFA_ANG_XX": "angry", "1001_IEO_HAP_HI": "happy", "1001_TIE_DIS_XX": "other"}
    names |= {"1040_ITH_SAD_X": "sad", "1040_WSI_NEU_XX": "neutral", "1076_MTI_SAD_XX": "sad"}
    for seed, (name, emotion) in enumerate(names.items()):
        write_sound(root / "AudioWAV" / f"{name}.wav", emotion, seed)
    return root


RAVDESS = ("neutral", "other", "happy", "sad", "angry", "other", "other", "other")
"""The label of each emotion code from 01 on."""


def ravdess_tree(root: Path, actors: Iterable[int] = (1, 7)) -> Path:
    """Every emotion of some actors, a song, and the clip of actor 7 that is a copy."""
    for actor in actors:
        folder = root / f"Actor_{actor:02d}"
        for code, emotion in enumerate(RAVDESS, start=1):
            write_sound(folder / f"03-01-{code:02d}-01-02-01-{actor:02d}.wav", emotion, 100 * actor + code)
        write_sound(folder / f"03-02-03-01-02-01-{actor:02d}.wav", "happy", actor)
        if actor == 7:
            write_sound(folder / "03-01-03-01-02-02-07.wav", "happy", 703)
    return root


def emodb_tree(root: Path) -> Path:
    names = {
        "03a01Fa": "happy",
        "03a02Wc": "angry",
        "08b10Ta": "sad",
        "08a05Nb": "neutral",
        "16b01Lb": "other",
    }
    for seed, (name, emotion) in enumerate(names.items()):
        write_sound(root / "wav" / f"{name}.wav", emotion, seed)
    return root


ESD_WORDS = {
    "0001": ("打远一看", "gb2312", "生气"),
    "0003": ("打远一看", "utf-16", "生气"),
    "0011": ("The nine the eggs, I keep.", "ascii", "Angry"),
    "0012": ("The nine the eggs, I keep.", "utf-16", "Angry"),
    "0017": ("He said \u201cI\u2019ll come\u201d.", "cp1252", "Angry"),
}


def esd_tree(root: Path, *, official_splits: bool = False) -> Path:
    """A speaker of each encoding; a space where a tab belongs, and a clip without words."""
    for speaker, (words, encoding, angry) in ESD_WORDS.items():
        lines = [f"{speaker}_000351\t{words}\t{angry}", "", f"{speaker}_000701 {words}\tHappy"]
        write_lines(root / speaker / f"{speaker}.txt", lines, encoding)
        for number, emotion, split in (("000351", "Angry", "train"), ("000701", "Happy", "evaluation")):
            folder = root / speaker / emotion / (split if official_splits else "")
            write_sound(folder / f"{speaker}_{number}.wav", emotion.lower(), int(number))
        folder = root / speaker / "Surprise" / ("test" if official_splits else "")
        write_sound(folder / f"{speaker}_001401.wav", "other", 1401)
    return root


def nemo_tree(root: Path) -> Path:
    """The speaker column has blanks, as in the release."""
    header = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
    texts = {"1": "Lubię czytać przed snem.", "38": "„Ród smoka” to serial telewizyjny."}
    labels = {"anger": "angry", "happiness": "happy", "sadness": "sad", "neutral": "neutral", "fear": "other"}
    lines = [header]
    for speaker in ("EB0", "WR0"):
        for seed, (emotion, label) in enumerate(labels.items()):
            number = list(texts)[seed % 2]
            name, words = f"{speaker}_{emotion}_{number}.wav", texts[number]
            lines.append(f"{name}\t{emotion}\t{words}\t{words.lower()}\t        {speaker}\tmale\t23")
            write_sound(root / "samples" / name, label, seed)
    write_lines(root / "data.tsv", lines)
    return root
