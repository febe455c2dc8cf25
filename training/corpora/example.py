"""`Example`, one utterance of a corpus, and the error of all corpus readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

OTHER: Final = "other"
"""The label of an utterance whose emotion is none of the four."""


class CorpusError(ValueError):
    """A corpus is incomplete, is not what its reader expects, or breaks its own splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One utterance: audio, words or both.

    corpus, key: where it is from, and its name, unique among all examples of a run: caches, random numbers
        and result files depend on it.
    emotion: angry, happy, sad, neutral or `other`. emotion_orig: the corpus's own label.
    path: the audio file; None for text only.
    words: the transcript as the corpus writes it, in `language` (BCP 47); empty where unknown.
    paired: a text from elsewhere, used in place of the words. Metrics on label-matched pairs are inflated.
    speaker, dialogue: unique across corpora; empty where unknown. sex: of the speaker, as the corpus writes
        it; for metrics by sex, nothing is learned from it.
    group: the corpus's own unit of cross-validation, a session or a numbered fold; empty where it has none.
    split: train, dev or test, where the corpus or its manifest gives it; otherwise empty.
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
    def audio_path(self) -> Path:
        """`path`. Raises CorpusError for an utterance of text only."""
        if self.path is None:
            raise CorpusError(f"{self.key}: expected an utterance with audio, got text only")
        return self.path

    @property
    def english(self) -> str:
        """The words if they are English, as text encoders and aligner require; otherwise empty."""
        return self.words if self.language.split("-")[0] == "en" else ""
