"""Names of the files of results: one for each recording, in a folder of their own or beside it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from ..display_paths import printable
from .discovery import ReplayJob

_LONGEST_NAME: Final = 255
"""Bytes, of most file systems."""
_RESERVED: Final = len(".partial") + len(".part")
_DIGEST_CHARS: Final = 8

Paths = dict[ReplayJob, Path]


def paths_in_folder(jobs: Sequence[ReplayJob], folder: Path, suffix: str) -> tuple[Paths, list[str]]:
    """`sub/x.flac` -> `folder/sub/x.flac.jsonl`; and what the user should know."""
    return _distinct(jobs, [lambda job: folder / f"{job.name}{suffix}"], suffix)


def paths_beside(jobs: Sequence[ReplayJob], suffix: str) -> tuple[Paths, list[str]]:
    """`sub/x.flac` -> `sub/x.srt`, where players look for subtitles; `sub/x.flac.srt` where there is an x.wav
    too; and what the user should know.
    """
    return _distinct(jobs, [lambda job: _by_stem(job, suffix), lambda job: _by_name(job, suffix)], suffix)


def _by_stem(job: ReplayJob, suffix: str) -> Path:
    return job.path.with_name(f"{job.path.stem if job.session is None else job.path.name}{suffix}")


def _by_name(job: ReplayJob, suffix: str) -> Path:
    return job.path.with_name(f"{job.path.name}{suffix}")


def _distinct(
    jobs: Sequence[ReplayJob], named: Sequence[Callable[[ReplayJob], Path]], suffix: str
) -> tuple[Paths, list[str]]:
    """Each job's first name that no other job has, upper and lower case being the same; else one with a hash
    of the recording's path, which does not depend on the other recordings.
    """
    paths: Paths = {}
    notes: list[str] = []
    todo = list(dict.fromkeys(jobs))
    for name in named:
        groups = _same(todo, name)
        paths |= {group[0]: shortened(name(group[0]), suffix) for group in groups if len(group) == 1}
        todo = [job for group in groups if len(group) > 1 for job in group]
    for job in todo:
        paths[job] = _hashed(named[-1](job), job, suffix)
    for group in _same(jobs, named[0]):
        if len(set(group)) > 1:
            ours = " and ".join(printable(paths[job].name) for job in dict.fromkeys(group))
            theirs = " and ".join(printable(job.path) for job in dict.fromkeys(group))
            notes.append(f"{theirs} would share a file of results, which are in {ours} instead")
    return paths, notes


def _same(jobs: Iterable[ReplayJob], name: Callable[[ReplayJob], Path]) -> list[list[ReplayJob]]:
    """Jobs by what a file system that ignores case and composition takes for one name."""
    groups: dict[str, list[ReplayJob]] = defaultdict(list)
    for job in jobs:
        groups[unicodedata.normalize("NFC", str(name(job))).casefold()].append(job)
    return list(groups.values())


def shortened(path: Path, suffix: str) -> Path:
    """The same path, or one whose name fits a file system: cut, with a hash in place of the rest."""
    room = _LONGEST_NAME - _RESERVED
    if len(path.name.encode(errors="surrogateescape")) <= room:
        return path
    digest = _digest(path.name)
    kept = path.name.encode(errors="surrogateescape")[: room - len(suffix) - 1 - len(digest)]
    return path.with_name(f"{kept.decode(errors='ignore')}~{digest}{suffix}")


def _hashed(path: Path, job: ReplayJob, suffix: str) -> Path:
    stem = path.name.removesuffix(suffix)
    return shortened(path.with_name(f"{stem}~{_digest(str(job.path.absolute()))}{suffix}"), suffix)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_CHARS]
