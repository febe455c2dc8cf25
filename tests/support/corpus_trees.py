"""A small IEMOCAP: five sessions, ten actors, the folders and lines of the release, its alignments too.

For sound there is noise with a tone, another one for each emotion, so that a network can learn from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.support.tiny_emotion import noise

RATE_HZ = 16_000
SECONDS = 0.6
TONES_HZ = {"angry": 1800.0, "happy": 900.0, "sad": 220.0, "neutral": 450.0, "other": 3000.0}


def write_sound(path: Path, emotion: str, seed: int) -> None:
    """0.6 s of noise with the tone of the emotion, mono, 16 bit."""
    samples = int(SECONDS * RATE_HZ)
    tone = np.sin(2 * np.pi * TONES_HZ[emotion] * np.arange(samples) / RATE_HZ)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(samples, seed) + 0.1 * tone.astype(np.float32), RATE_HZ, subtype="PCM_16")


def write_lines(path: Path, lines: Iterable[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


PHONES = {
    "THE": "DH AH",
    "DOOR": "D AO R",
    "IS": "IH Z",
    "SHUT": "SH AH T",
    "LEAVE": "L IY V",
    "ME": "M IY",
    "NOW": "N AW",
    "STOP": "S T AA P",
    "THIS": "DH IH S",
    "FEELS": "F IY L Z",
    "SO": "S OW",
    "GOOD": "G UH D",
    "SHE": "SH IY",
    "GONE": "G AO N",
    "I": "AY",
    "MISS": "M IH S",
    "HER": "HH ER",
    "YES": "Y EH S",
}
"""Words of one syllable each."""

TEXTS = {
    "ang": ("Leave me now!", "Stop this now."),
    "hap": ("This feels so good.", "[LAUGHTER] So good, yes."),
    "exc": ("Yes! So good!", "This is so good."),
    "neu": ("The door is shut.", "Is the door shut?"),
    "sad": ("She is gone.", "I miss her so."),
    "fru": ("Stop so good.", "This door!"),
    "xxx": ("Yes.", "Is this so?"),
}
LABELS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
FOUR_CLASS = ("ang", "hap", "neu", "sad", "exc")
OTHERS = ("xxx", "fru")


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a dialogue. name: `Ses01F_impro01_M000`."""

    name: str
    label: str
    words: str
    seed: int

    @property
    def dialogue(self) -> str:
        return self.name.rpartition("_")[0]


def iemocap_tree(root: Path, per_speaker: int = 4, others: int = 1) -> Path:
    """The five sessions, two dialogues each, an improvised and a scripted one.

    per_speaker: utterances of the 4-class set of each of the two actors of a session, of all four labels from
    four on. others: `xxx` and `fru` of each, so many; and of a third session two turns that have another kind
    of name and no words, one of them `xxx`, the other without a label.
    """
    for session in range(1, 6):
        turns = list(_turns(session, per_speaker, others))
        for dialogue in sorted({turn.dialogue for turn in turns}):
            _write(
                root / f"Session{session}", dialogue, [turn for turn in turns if turn.dialogue == dialogue]
            )
    if others:
        _write_turns_without_words(root / "Session3", "Ses03F_impro01")
    return root


def _turns(session: int, per_speaker: int, others: int) -> Iterable[Turn]:
    dialogues = (f"Ses{session:02d}F_impro01", f"Ses{session:02d}M_script01_1")
    for actor, letter in enumerate("FM"):
        labels = [FOUR_CLASS[number % len(FOUR_CLASS)] for number in range(per_speaker)]
        labels += [OTHERS[number % len(OTHERS)] for number in range(2 * others)]
        for number, label in enumerate(labels):
            texts = TEXTS[label]
            yield Turn(
                name=f"{dialogues[number % 2]}_{letter}{number // 2:03d}",
                label=label,
                words=texts[(session + number) % len(texts)],
                seed=1000 * session + 100 * actor + number,
            )


def _write(session: Path, dialogue: str, turns: list[Turn]) -> None:
    labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    words = []
    for number, turn in enumerate(turns):
        start, end = 2.0 * number + 1, 2.0 * number + 1 + SECONDS
        labels += [f"[{start:.4f} - {end:.4f}]\t{turn.name}\t{turn.label}\t[2.5000, 2.5000, 2.5000]"]
        labels += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
        words.append(f"{turn.name} [{start:08.4f}-{end:08.4f}]: {turn.words}")
        write_sound(session / "sentences" / "wav" / dialogue / f"{turn.name}.wav", _tone(turn), turn.seed)
        _write_alignment(session / "sentences" / "ForcedAlignment" / dialogue, turn)
    words += [f"{dialogue}_MXX0 [099.0000-100.0000]: [BREATHING]", "M: And what else?"]
    evaluation = session / "dialog" / "EmoEvaluation"
    write_lines(evaluation / f"{dialogue}.txt", labels)
    write_lines(evaluation / "Categorical" / f"{dialogue}_e2_cat.txt", [f"{turns[0].name} :Anger; ()"])
    (evaluation / f"._{dialogue}.txt").write_bytes(b"\0\5\x16\7Mac OS X")
    (session / "sentences" / "wav" / dialogue / f"._{turns[0].name}.wav").write_bytes(b"\0\5\x16\7Mac OS X")
    write_lines(session / "dialog" / "transcriptions" / f"{dialogue}.txt", words)


def _write_turns_without_words(session: Path, dialogue: str) -> None:
    names = [f"{dialogue}_FXX{number}" for number in (0, 1)]
    for seed, name in enumerate(names):
        write_sound(session / "sentences" / "wav" / dialogue / f"{name}.wav", "other", seed)
    with (session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt").open("a", encoding="utf-8") as file:
        file.write(f"[90.0000 - 90.6000]\t{names[0]}\txxx\t[2.5000, 2.5000, 2.5000]\n")


def _tone(turn: Turn) -> str:
    return LABELS.get(turn.label, "other")


def _write_alignment(folder: Path, turn: Turn) -> None:
    """Words evenly over the middle of the audio, each with its phones, 10 ms frames."""
    words = [word.strip(".,!?").upper() for word in turn.words.split() if not word.startswith("[")]
    total_frames = round(100 * SECONDS)
    frames = (total_frames - 10) // len(words)
    spoken, syllables, phones = [], [], []
    for number, word in enumerate(words):
        start = 5 + number * frames
        parts = PHONES[word].split()
        each = frames // len(parts)
        spoken.append((start, start + frames - 1, word))
        syllables.append((start, start + frames - 1, "_".join(parts)))
        phones += [
            (start + each * place, start + each * (place + 1) - 1, f"{phone} SIL SIL s")
            for place, phone in enumerate(parts)
        ]
    _write_segments(
        folder / f"{turn.name}.wdseg", [(0, 4, "<s>"), *spoken, (total_frames - 5, total_frames - 1, "</s>")]
    )
    _write_segments(folder / f"{turn.name}.syseg", [(0, 4, "SIL"), *syllables])
    _write_segments(folder / f"{turn.name}.phseg", [(0, 4, "SIL"), *phones])


def _write_segments(path: Path, segments: list[tuple[int, int, str]]) -> None:
    lines = [f"\t{start:5d} {end:5d} {-100:9d} {name}" for start, end, name in segments]
    total = f" Total score: {-100 * len(segments):11d}"
    write_lines(path, [f"\t{'SFrm':>5} {'EFrm':>5} {'SegAScr':>9} Name", *lines, total])
