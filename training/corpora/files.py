"""Finding and reading the files of a corpus: nested folders, macOS's `._` files, several encodings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .example import CorpusError


def corpus_root(root: Path, pattern: str, corpus: str) -> Path:
    """`root`, or the first folder directly inside it, that contains something matching `pattern`.

    Raises CorpusError where none does.
    """
    if root.is_dir():
        inside = sorted(child for child in root.iterdir() if child.is_dir() and not is_hidden(child))
        for folder in (root, *inside):
            if any(not is_hidden(path) for path in folder.glob(pattern)):
                return folder
    raise CorpusError(
        f"expected {corpus} with {pattern} in it, got {root}: give the folder that the corpus was unpacked to"
    )


def is_hidden(path: Path) -> bool:
    """Hidden files: macOS writes a `._name` beside each file that it copies."""
    return path.name.startswith(".")


def list_files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files that match `pattern`, sorted; none if the folder is missing."""
    return (path for path in sorted(folder.glob(pattern)) if path.is_file() and not is_hidden(path))


def parse_file_name(path: Path, pattern: re.Pattern[str], example: str) -> tuple[str, ...]:
    """The groups of `pattern` in a file's stem. Raises CorpusError if it does not match."""
    found = pattern.fullmatch(path.stem)
    if found is None:
        raise CorpusError(
            f"expected names such as {example}, got {path}: leave in the folder what the corpus has"
        )
    return found.groups()


def find_path(root: Path, name: str) -> Path | None:
    """A file or folder of that name in `root` or up to two folders below, the highest first."""
    for depth in ("", "*/", "*/*/"):
        found = sorted(root.glob(f"{depth}{name}"))
        if found:
            return found[0]
    return None


def read_text_file(path: Path, *encodings: str) -> str:
    """The text of a file in the first of the encodings that fits; UTF-16 is recognized by its zero bytes.

    Raises CorpusError for a file that cannot be read, or fits none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"expected a text file, got {error}: get the file from the corpus again") from error
    for encoding in ("utf-16",) if b"\0" in data else encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CorpusError(
        f"{path}: expected text in {' or '.join(encodings)}, got other bytes: get the file from "
        "the corpus again"
    )


def read_lines(path: Path, *encodings: str) -> list[str]:
    """The same as lines, split at `\\n` alone: texts contain other characters that `splitlines` splits at."""
    return [line.removesuffix("\r") for line in read_text_file(path, *encodings).split("\n")]


def check_none_missing(names: Iterable[str], expected: str, advice: str) -> None:
    """Raises CorpusError if any name is missing; the message has the first, and how many there are."""
    missing = sorted(names)
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise CorpusError(f"expected {expected}, got none for {missing[0]}{more}: {advice}")
