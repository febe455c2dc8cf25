"""A corpus as folders named by label: `angry/1.wav`, `angry/ANNA/1.wav` or `ANNA/angry/1.wav`."""

from __future__ import annotations

from pathlib import Path

from emostream.models import MEDIA_SUFFIXES

from .example import CorpusError, Example
from .files import is_hidden
from .labels import label_of

_EXPECTED = "expected folders named by label (angry, happy, sad, neutral, or a common name of one)"


def read_label_folders(root: Path, corpus: str = "") -> list[Example]:
    """Every audio or video file below a folder named by a label; the other folders on its way name its
    speaker.

    corpus: its name; that of the folder where it is empty. Raises CorpusError where there is no such file, a
    file is below no label or below two, and where the speaker is known for some only.
    """
    files = sorted(path for path in root.rglob("*") if _is_clip(path, root))
    if not files:
        raise CorpusError(f"{_EXPECTED} with audio in them in {root}, got none: name another folder")
    examples = [_example(path, root, corpus or root.resolve().name) for path in files]
    nameless = [example.key for example in examples if not example.speaker]
    if nameless and len(nameless) < len(examples):
        raise CorpusError(
            f"{root}: expected a folder for every speaker or for none, got none for {len(nameless)}, the "
            f"first is {nameless[0]}: move them"
        )
    return examples


def _is_clip(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in MEDIA_SUFFIXES and path.is_file() and not hidden and not is_hidden(path)


def _example(path: Path, root: Path, corpus: str) -> Example:
    name = path.relative_to(root)
    labels = {part: label for part in name.parent.parts if (label := _label(part)) is not None}
    if len(labels) != 1:
        got = " and ".join(labels) or "none"
        raise CorpusError(f"{_EXPECTED}, got {got} for {path}: move it into one")
    ((part, label),) = labels.items()
    speaker = "/".join(other for other in name.parent.parts if other != part)
    return Example(
        corpus=corpus,
        key=name.as_posix(),
        emotion=label,
        emotion_orig=part.strip().lower(),
        path=path,
        speaker=f"{corpus}/{speaker}" if speaker else "",
    )


def _label(folder: str) -> str | None:
    try:
        return label_of(folder, folder)
    except CorpusError:
        return None
