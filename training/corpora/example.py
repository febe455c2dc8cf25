"""What every parser makes of a corpus: `Example`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

OTHER: Final = "other"
"""The label of an utterance whose emotion is none of the four."""


class CorpusError(ValueError):
    """A corpus is incomplete, is not what its parser expects, or breaks its own splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One utterance: sound, words or both.

    corpus, key: where it is from, and its name, unique among all examples of a run: caches, randomness and
        files of results go by it.
    emotion: angry, happy, sad, neutral or `other`. emotion_orig: the corpus's own label.
    path: the sound file; None where there are words alone.
    words: what is said, as the corpus writes it, in `language` (BCP 47); empty where unknown.
    paired: a text from elsewhere, read in place of the words. Figures on label-matched pairs are inflated.
    speaker, dialogue: unique across corpora; empty where unknown. sex: of the speaker, as the corpus writes
        it; for figures by it, nothing is learned from it.
    group: the corpus's own unit of cross-validation, a session or a numbered fold; empty where it has none.
    split: train, dev or test, where the corpus or its manifest says; otherwise empty.
    """

    corpus: str
    key: str
    emotion: str
    emotion_orig: str
    path: Path | None = None
    words: str = ""
    language: str = "en"
    paired: str = ""
    speaker: str = ""
    sex: str = ""
    dialogue: str = ""
    group: str = ""
    split: str = ""

    @property
    def sound(self) -> Path:
        """`path`. Raises CorpusError where there are words alone."""
        if self.path is None:
            raise CorpusError(f"{self.key}: expected an utterance with sound, got words alone")
        return self.path

    @property
    def english(self) -> str:
        """The words where they are English, which the text encoders and the aligner know; otherwise empty."""
        return self.words if self.language.split("-")[0] == "en" else ""
