"""The registry of corpora: a reader for each name."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emostream.models import Alignment

from . import iemocap
from .crema_d import read_crema_d
from .dailydialog import read_dailydialog
from .emodb import read_emodb
from .emorynlp import read_emorynlp
from .esd import read_esd
from .example import CorpusError, Example
from .goemotions import read_goemotions
from .hub_dataset import read_hub_dataset
from .iemocap_alignment import read_alignment
from .label_matched import read_label_matched
from .leakage import DisjointUnit, check_splits_disjoint
from .manifest import read_manifest
from .meld import read_meld
from .nemo import read_nemo
from .ravdess import read_ravdess

_BOTH: Final[tuple[DisjointUnit, ...]] = ("speaker", "dialogue")


@dataclass(frozen=True, slots=True)
class Corpus:
    """How one corpus is read.

    disjoint: what its own splits keep apart; nothing where it has no splits or they keep nothing apart.
    part: reads a part of a corpus whose size `read` checks; None where `read` takes any size.
    """

    read: Callable[[Path], list[Example]]
    disjoint: tuple[DisjointUnit, ...] = ()
    part: Callable[[Path], list[Example]] | None = None


CORPORA: Final[Mapping[str, Corpus]] = {
    "iemocap": Corpus(iemocap.read_iemocap, part=functools.partial(iemocap.read_iemocap, expected=None)),
    "meld": Corpus(read_meld, ("dialogue",)),
    "crema-d": Corpus(read_crema_d),
    "ravdess": Corpus(read_ravdess),
    "emodb": Corpus(read_emodb),
    "esd": Corpus(read_esd),
    "nemo": Corpus(read_nemo),
    "emorynlp": Corpus(read_emorynlp, ("dialogue",)),
    "goemotions": Corpus(read_goemotions),
    "dailydialog": Corpus(read_dailydialog, _BOTH),
    "manifest": Corpus(read_manifest, _BOTH),
    "datasets": Corpus(read_hub_dataset, _BOTH),
    "label-matched": Corpus(read_label_matched, _BOTH),
}


def read_corpus(name: str, root: Path, *, part: bool = False) -> list[Example]:
    """All examples of a corpus. part: take less than the whole of a corpus whose size is known.

    Raises CorpusError for an unknown name, a corpus that is not as its parser expects, nothing at all, a key
    that occurs twice, and splits that share what they promise to keep apart.
    """
    if name not in CORPORA:
        raise CorpusError(f"expected a corpus out of {', '.join(CORPORA)}, got {name!r}: choose one of them")
    corpus = CORPORA[name]
    examples = (corpus.part if part and corpus.part else corpus.read)(root)
    if not examples:
        raise CorpusError(f"expected utterances of {name} in {root}, got none: is it the right folder?")
    key, times = Counter(example.key for example in examples).most_common(1)[0]
    if times > 1:
        raise CorpusError(
            f"expected every utterance of {name} once, got {key} {times} times: leave one of them"
        )
    check_splits_disjoint(examples, corpus.disjoint)
    return examples


def corpus_alignment(example: Example) -> Alignment | None:
    """The forced alignment that comes with a corpus; of those here only IEMOCAP has any, for most utterances.

    Raises CorpusError for a damaged file.
    """
    if example.corpus != iemocap.CORPUS:
        return None
    sentences, dialogue = example.audio_path.parents[2], example.audio_path.parent.name
    return read_alignment(sentences / "ForcedAlignment" / dialogue, example.audio_path.stem)
