"""The folder of an archive's results, and which recordings are in it.

results/part-HASH.jsonl    events of the recordings of a part, or a table of them (.parquet)
errors/part-HASH.jsonl     what could not be read or judged, where there is something
done/part-HASH.json        written last: without it, a part counts as not begun
attempts/part-HASH.json    of parts that are under way; see `attempts`
models.json                what the results were made with
run.json                   whose run it is at present
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from emostream.streamer.display_paths import shown
from emostream.streamer.errors import ClusterError, ConfigError

from .shard_record import BatchFormat, Models, ShardRecord, alike, named, should_retry
from .shards import Shard, shard_name
from .storage import UNFINISHED, Storage

Asked = Mapping[str, str | int | float | bool | None]
"""What was asked for, by the setting's name."""

_FOLDERS: Final = ("results", "errors", "done", "attempts")
_TABLES: Final = ("results", "errors")
_RUN: Final = "run.json"
_MODELS: Final = "models.json"
_NOTES: Final = re.compile(r"part-[0-9a-f]{20}\.json")
_OURS: Final = {
    "results": re.compile(r"part-[0-9a-f]{20}\.(jsonl|parquet)"),
    "errors": re.compile(r"part-[0-9a-f]{20}\.(jsonl|parquet)"),
    "done": _NOTES,
    "attempts": _NOTES,
    UNFINISHED: re.compile(r"[0-9a-f]{32}|trial"),
}
"""Folder -> names that only we give. Nothing else is ever removed: --output-dir may name anybody's folder."""


class OutputStore:
    """place: a path or an address that every node sees. Raises ConfigError."""

    def __init__(self, place: str, form: BatchFormat) -> None:
        self.storage = Storage(place)
        self.form = form
        # Of the run that began here: its token, what it asks for, and who judges, by the first note.
        self._token = ""
        self._asked: Asked = {}
        self._models: Models | None = None

    def begin(
        self, asked: Asked, wanted: Collection[str] = (), *, resume: bool
    ) -> tuple[list[ShardRecord], str]:
        """Of a run: what is done already, and the run's token. What lies there of parts that are not done is
        removed. wanted: addresses of the recordings that this run can judge.

        A part with a recording that failed is not done: all of it is judged again. Neither is one of other
        models. Raises ConfigError where there are results and none are expected, they are of another kind, or
        the folders hold what is not ours.
        """
        self._refuse(asked, resume=resume)
        self.storage.prepare(_FOLDERS)
        self._token = uuid4().hex
        self.storage.write(_RUN, json.dumps({"run": self._token}).encode())
        # From here on no worker of an earlier run begins anything; until here it may have.
        notes = self._refuse(asked, resume=resume)
        self._asked, self._models = asked, self._made_with(notes)
        for name, note in list(notes.items()):
            if self._other(note) or should_retry(note, set(wanted)):
                self._withdraw(name)
                del notes[name]
        self._sweep(notes)
        if not notes:
            self._models = None
        self._say_models()
        return list(notes.values()), self._token

    def accept(self, note: ShardRecord) -> None:
        """Of this run. Nodes may have different models at hand, and `--asr auto` takes what is there.

        Raises ClusterError where it is of other models than the notes before: it counts as not done then, and
        the run is over for all workers.
        """
        if self._models is None:
            self._models = note.models
            self._say_models()
        if not self._other(note):
            return
        self.storage.remove(_RUN)
        self._withdraw(shard_name(note.recordings))
        raise ClusterError(
            f"expected the same models in all of the archive ({named(self._models)}), got "
            f"{named(note.models)} on node {note.node}; name them (--asr, --checkpoint), or choose another "
            "--output-dir"
        )

    def end(self) -> None:
        """Leave behind what a reader wants to see, and everything to the run that has taken over."""
        if _object(self.storage.read(_RUN) or b"").get("run") != self._token:
            return
        self.storage.remove(_RUN)
        for folder in ("attempts", UNFINISHED):
            self.storage.clear(folder, _OURS[folder])
            self.storage.remove_empty(folder)

    def check(self, token: str, node: str) -> None:
        """Raises ClusterError where this node does not see the folder, or another run has taken it over."""
        data = self.storage.read(_RUN)
        place = shown(self.storage.place)
        if data is None:
            raise ClusterError(
                "expected --output-dir on storage that every node of the cluster sees (a shared folder, or "
                f"an address such as s3://...), got {place}, which is not there on node {node}"
            )
        if json.loads(data)["run"] != token:
            raise ClusterError(f"expected one run at a time in {place}, got another; resume when it is done")

    def note(self, part: Shard) -> ShardRecord | None:
        """None where the part is not done."""
        data = self.storage.read(f"done/{part.name}.json")
        return None if data is None else ShardRecord.decode(data)

    def commit(self, part: Shard, results: Path, errors: Path, note: ShardRecord, token: str) -> None:
        """Files of this machine; those without a byte are left out. The part is done with the last step.

        Raises ClusterError as `check` does.
        """
        self.check(token, note.node)
        for folder, file in zip(_TABLES, (results, errors), strict=True):
            name = f"{folder}/{part.name}.{self.form}"
            if file.stat().st_size:
                self.storage.put(file, name)
            else:  # an attempt that was killed may have had something to say
                self.storage.remove(name)
        # Once more: what is large takes its time, and another run may have begun meanwhile.
        self.check(token, note.node)
        self.storage.write(f"done/{part.name}.json", note.encode())

    def _refuse(self, asked: Asked, *, resume: bool) -> dict[str, ShardRecord]:
        """The notes, by their parts' names. Raises ConfigError where they are not to be gone on with."""
        place = shown(self.storage.place)
        notes = self._notes()
        if not resume:
            if notes:
                raise ConfigError(
                    f"expected a new folder, got {place} with results; "
                    "choose another --output-dir, or add --resume"
                )
            if (foreign := self._foreign()) is not None:
                raise ConfigError(
                    f"expected a new folder, got {place} with {shown(foreign)}; choose another --output-dir"
                )
        for note in notes.values():
            if note.format != self.form:
                raise ConfigError(
                    f"expected --format {note.format}, as the results in {place} have, got {self.form}; "
                    "name it, or choose another --output-dir"
                )
        before = self._said_models().get("asked", {}) if notes else {}
        for name, value in before.items():
            if asked.get(name) != value:
                raise ConfigError(
                    f"expected {name} {json.dumps(value)}, as the results in {place} were asked for, got "
                    f"{json.dumps(asked.get(name))}; ask for the same, or choose another --output-dir"
                )
        return notes

    def _foreign(self) -> str | None:
        """The first file or folder that we would not have made."""
        for folder, ours in _OURS.items():
            for name in self.storage.names(folder):
                if not ours.fullmatch(name):
                    return f"{folder}/{name}"
        for name, key in ((_RUN, "run"), (_MODELS, "asked")):
            data = self.storage.read(name)
            if data is not None and key not in _object(data):
                return name
        return None

    def _notes(self) -> dict[str, ShardRecord]:
        """By the part's name."""
        names = [name for name in self.storage.names("done") if _NOTES.fullmatch(name)]
        notes = self.storage.read_all("done", names)
        return {name.removesuffix(".json"): self._decoded(name, data) for name, data in notes.items()}

    def _decoded(self, name: str, data: bytes) -> ShardRecord:
        try:
            return ShardRecord.decode(data)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"expected a note of this version in {shown(self.storage.place)}/done/{name}, "
                f"got: {error}; remove it to have its recordings judged again"
            ) from error

    def _said_models(self) -> dict[str, Any]:
        data = self.storage.read(_MODELS)
        return {} if data is None else _object(data)

    def _say_models(self) -> None:
        said = {"asked": self._asked, "models": self._models}
        self.storage.write(_MODELS, json.dumps(said).encode())

    def _made_with(self, notes: Mapping[str, ShardRecord]) -> Models | None:
        """By what the driver wrote of its first note; where it was killed before, by any of the notes."""
        said = self._said_models().get("models") if notes else None
        if said is not None:
            asr, emotion = said
            return asr, emotion
        return next((note.models for note in notes.values()), None)

    def _other(self, note: ShardRecord) -> bool:
        """Whether it is of other models than the archive."""
        return self._models is not None and alike(note.models) != alike(self._models)

    def _withdraw(self, part: str) -> None:
        """The note first: without it, what is left counts as not done."""
        self.storage.remove(f"done/{part}.json")
        for folder in _TABLES:
            self.storage.remove(f"{folder}/{part}.{self.form}")

    def _sweep(self, done: dict[str, ShardRecord]) -> None:
        """Notes that come from an earlier run's worker meanwhile are done, too. Its attempts say nothing:
        somebody may have ended it.
        """
        self.storage.clear("attempts", _OURS["attempts"])
        self.storage.clear(UNFINISHED, _OURS[UNFINISHED])
        for folder in _TABLES:
            for name in self.storage.names(folder):
                part = name.rpartition(".")[0]
                if not _OURS[folder].fullmatch(name) or part in done:
                    continue
                data = self.storage.read(f"done/{part}.json")
                if data is None:
                    self.storage.remove(f"{folder}/{name}")
                else:
                    done[part] = self._decoded(f"{part}.json", data)


def _object(data: bytes) -> dict[str, Any]:
    """Empty where it is none of JSON."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
