"""The emotion names of the corpora, mapped to the four labels or `other`."""

from __future__ import annotations

from typing import Final

from emostream.models import LABELS

from .example import OTHER, CorpusError

_NAMES: Final = {
    "angry": "angry anger ang mad",
    "happy": "happy happiness hap joy joyful excited excitement exc",
    "sad": "sad sadness",
    "neutral": "neutral neutrality neu no-emotion",
    OTHER: "other oth xxx calm peaceful powerful boredom bored surprise surprised sur "
    "fear fearful fea scared disgust disgusted dis contempt frustration frustrated fru",
}
_LABELS: Final = {name: label for label, names in _NAMES.items() for name in names.split()}


def label_of(name: str, where: str) -> str:
    """angry, happy, sad, neutral or `other`, for a corpus's name of an emotion, in any case.

    Excited is happy, as the papers on IEMOCAP count it; calm, surprised, frustrated and the like are `other`.
    where: the place for the error message, a file or `file:line`.

    Raises CorpusError for an unknown name: a typo must not silently become `other`.
    """
    label = _LABELS.get(name.strip().lower().replace(" ", "-"))
    if label is None:
        raise CorpusError(
            f"{where}: expected one of {', '.join((*LABELS, OTHER))} or a common name of one, got {name!r}: "
            "fix the label"
        )
    return label
