"""The folder of an archive's results, and which recordings are in it.

results/part-HASH.jsonl    events of the recordings of a part, or a table of them (.parquet)
errors/part-HASH.jsonl     what could not be read or judged, where there is something
done/part-HASH.json        written last: without it, a part counts as not begun
attempts/part-HASH.json    of parts that are under way; see `attempts`
run.json                   whose run it is at present
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

from emostream.streamer.errors import ClusterError, ConfigError
from emostream.streamer.file_names import shown

from .parts import Part
from .storage import Storage

ArchiveFormat = Literal["jsonl", "parquet"]
Models = tuple[str | None, str]
"""By name: who writes the words (None where nobody does), and who judges."""

_FOLDERS: Final = ("results", "errors", "done", "attempts")
_RUN: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Note:
    """What became of a part. recordings: their addresses. whole: how many could be read to their end. errors:
    rows in the errors table; told: the first of them, for people. node: where it was judged, as Ray names it.
    """

    format: ArchiveFormat
    recordings: tuple[str, ...]
    whole: int
    audio_s: float
    utterances: int
    errors: int
    told: tuple[str, ...]
    models: Models
    node: str

    def encode(self) -> bytes:
        # The standard library's takes a name that is no UTF-8, and gives it back as it was.
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(data: bytes) -> Note:
        """Raises ValueError, KeyError or TypeError where it is none."""
        said: dict[str, Any] = json.loads(data)
        asr, emotion = said.pop("models")
        for name in ("recordings", "told"):
            said[name] = tuple(said[name])
        return Note(**said, models=(asr, emotion))


class Catalogue:
    """place: a path or an address that every node sees. Raises ConfigError."""

    def __init__(self, place: str, form: ArchiveFormat) -> None:
        self.storage = Storage(place)
        self.form = form

    def begin(self, *, resume: bool) -> tuple[list[Note], str]:
        """Of a run: what is done already, and the run's token. What lies there of parts that are not done is
        removed.

        Raises ConfigError where there are results and none are expected, or they are of another kind.
        """
        place = shown(self.storage.place)
        notes = self._notes()
        if notes and not resume:
            raise ConfigError(
                f"expected a new folder, got {place} with results; choose another --out, or add --resume"
            )
        for note in notes.values():
            if note.format != self.form:
                raise ConfigError(
                    f"expected --format {note.format}, as the results in {place} have, got {self.form}; "
                    "name it, or choose another --out"
                )
        self.storage.prepare(_FOLDERS)
        self._sweep(notes)
        token = uuid4().hex
        self.storage.write(_RUN, json.dumps({"run": token}).encode())
        return list(notes.values()), token

    def end(self) -> None:
        """Leave behind what a reader wants to see."""
        self.storage.tidy(("attempts",))
        self.storage.remove(_RUN)

    def check(self, token: str, node: str) -> None:
        """Raises ClusterError where this node does not see the folder, or another run has taken it over."""
        data = self.storage.read(_RUN)
        place = shown(self.storage.place)
        if data is None:
            raise ClusterError(
                "expected --out on storage that every node of the cluster sees (a shared folder, or an "
                f"address such as s3://...), got {place}, which is not there on node {node}"
            )
        if json.loads(data)["run"] != token:
            raise ClusterError(f"expected one run at a time in {place}, got another; resume when it is done")

    def note(self, part: Part) -> Note | None:
        """None where the part is not done."""
        data = self.storage.read(f"done/{part.name}.json")
        return None if data is None else Note.decode(data)

    def commit(self, part: Part, results: Path, errors: Path, note: Note) -> None:
        """Files of this machine; those without a byte are left out. The part is done with the last step."""
        for folder, file in (("results", results), ("errors", errors)):
            if file.stat().st_size:
                self.storage.put(file, f"{folder}/{part.name}.{self.form}")
        self.storage.write(f"done/{part.name}.json", note.encode())

    def _notes(self) -> dict[str, Note]:
        """By the part's name."""
        notes = {}
        for name, data in self.storage.read_all("done").items():
            try:
                notes[name.removesuffix(".json")] = Note.decode(data)
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"expected a note of this version in {shown(self.storage.place)}/done/{name}, "
                    f"got: {error}; remove it to have its recordings judged again"
                ) from error
        return notes

    def _sweep(self, done: dict[str, Note]) -> None:
        """An earlier run's attempts say nothing: somebody may have ended it."""
        self.storage.clear("attempts")
        self.storage.clear("unfinished")
        for folder in ("results", "errors"):
            for name in self.storage.names(folder):
                if name.rpartition(".")[0] not in done:
                    self.storage.remove(f"{folder}/{name}")


def recordings_in(notes: Sequence[Note]) -> set[str]:
    """Their addresses."""
    return {address for note in notes for address in note.recordings}
