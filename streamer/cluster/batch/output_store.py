"""The output folder of a batch job, and the record of the shards that are complete.

results/part-HASH.jsonl    events of the recordings of a shard, or a table of them (.parquet)
errors/part-HASH.jsonl     what could not be processed, where there is something
done/part-HASH.json        the shard's record, written last: without it, a shard counts as not begun
attempts/part-HASH.json    of shards in progress; see `retries`
models.json                the settings and models of the results
run.json                   the token of the current run
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from emostream.streamer.display_paths import printable
from emostream.streamer.errors import ClusterError, ConfigError

from .shard_record import (
    BatchFormat,
    ModelNames,
    ShardRecord,
    describe_models,
    normalized_models,
    should_retry,
)
from .shards import Shard, shard_name
from .storage import UNFINISHED, Storage

ResultSettings = Mapping[str, str | int | float | bool | None]
"""The settings that results depend on, by name."""

_FOLDERS: Final = ("results", "errors", "done", "attempts")
_TABLES: Final = ("results", "errors")
_RUN: Final = "run.json"
_MODELS: Final = "models.json"
_RECORD_NAME: Final = re.compile(r"part-[0-9a-f]{20}\.json")
_OWN_NAMES: Final = {
    "results": re.compile(r"part-[0-9a-f]{20}\.(jsonl|parquet)"),
    "errors": re.compile(r"part-[0-9a-f]{20}\.(jsonl|parquet)"),
    "done": _RECORD_NAME,
    "attempts": _RECORD_NAME,
    UNFINISHED: re.compile(r"[0-9a-f]{32}|trial"),
}
"""Folder -> names that only this program uses. No other file is ever removed: --output-dir may be any
folder."""


class OutputStore:
    """Reads and writes an output folder. place: a path or a URI, accessible on every node. Raises
    ConfigError."""

    def __init__(self, place: str, form: BatchFormat) -> None:
        self.storage = Storage(place)
        self.form = form
        # Of the run that began here: its token, its settings, and the models of its first record.
        self._token = ""
        self._settings: ResultSettings = {}
        self._models: ModelNames | None = None

    def begin(
        self, settings: ResultSettings, wanted: Collection[str] = (), *, resume: bool
    ) -> tuple[list[ShardRecord], str]:
        """Begin a run: returns the records of completed shards and the run's token, and removes the files of
        incomplete shards. wanted: addresses of the recordings of this run.

        A shard with a failed recording is incomplete and is processed again as a whole, and so is one of
        other models. Raises ConfigError where there are results and `resume` is not set, where the results
        are of another kind, or where the folders hold files of another program.
        """
        self._check_resumable(settings, resume=resume)
        self.storage.prepare(_FOLDERS)
        self._token = uuid4().hex
        self.storage.write(_RUN, json.dumps({"run": self._token}).encode())
        # From here on no worker of an earlier run begins a shard; until here one may have completed some.
        records = self._check_resumable(settings, resume=resume)
        self._settings, self._models = settings, self._models_of(records)
        for name, record in list(records.items()):
            if self._has_other_models(record) or should_retry(record, set(wanted)):
                self._withdraw(name)
                del records[name]
        self._sweep(records)
        if not records:
            self._models = None
        self._write_models()
        return list(records.values()), self._token

    def accept(self, record: ShardRecord) -> None:
        """Accept a record of this run. Nodes may have different models, as `--asr auto` takes what is
        available.

        Raises ClusterError where its models differ from those of earlier records: the shard then counts as
        incomplete, and the run ends for all workers.
        """
        if self._models is None:
            self._models = record.models
            self._write_models()
        if not self._has_other_models(record):
            return
        self.storage.remove(_RUN)
        self._withdraw(shard_name(record.recordings))
        raise ClusterError(
            f"expected the same models for all recordings ({describe_models(self._models)}), got "
            f"{describe_models(record.models)} on node {record.node}; name them (--asr, "
            "--checkpoint), or choose another --output-dir"
        )

    def end(self) -> None:
        """Remove the files of the run itself, unless another run has taken over."""
        if _json_object(self.storage.read(_RUN) or b"").get("run") != self._token:
            return
        self.storage.remove(_RUN)
        for folder in ("attempts", UNFINISHED):
            self.storage.clear(folder, _OWN_NAMES[folder])
            self.storage.remove_empty(folder)

    def check(self, token: str, node: str) -> None:
        """Raises ClusterError where this node cannot access the folder, or another run has taken it over."""
        data = self.storage.read(_RUN)
        place = printable(self.storage.place)
        if data is None:
            raise ClusterError(
                "expected --output-dir on storage that every node of the cluster sees (a shared folder, or "
                f"an address such as s3://...), got {place}, which is not there on node {node}"
            )
        if json.loads(data)["run"] != token:
            raise ClusterError(f"expected one run at a time in {place}, got another; resume when it is done")

    def record(self, shard: Shard) -> ShardRecord | None:
        """The record of a shard; None where it is incomplete."""
        data = self.storage.read(f"done/{shard.name}.json")
        return None if data is None else ShardRecord.decode(data)

    def commit(self, shard: Shard, results: Path, errors: Path, record: ShardRecord, token: str) -> None:
        """Upload a shard's files, except empty ones, and then its record, which makes it complete.

        Raises ClusterError as `check` does.
        """
        self.check(token, record.node)
        for folder, file in zip(_TABLES, (results, errors), strict=True):
            name = f"{folder}/{shard.name}.{self.form}"
            if file.stat().st_size:
                self.storage.put(file, name)
            else:  # a killed attempt may have left one
                self.storage.remove(name)
        # Check again: the upload may take long, and another run may have begun meanwhile.
        self.check(token, record.node)
        self.storage.write(f"done/{shard.name}.json", record.encode())

    def _check_resumable(self, settings: ResultSettings, *, resume: bool) -> dict[str, ShardRecord]:
        """The records by shard name. Raises ConfigError where this run may not continue them."""
        place = printable(self.storage.place)
        records = self._records()
        if not resume:
            if records:
                raise ConfigError(
                    f"expected a new folder, got {place} with results; "
                    "choose another --output-dir, or add --resume"
                )
            if (foreign := self._foreign()) is not None:
                raise ConfigError(
                    f"expected a new folder, got {place} with {printable(foreign)}; "
                    "choose another --output-dir"
                )
        for record in records.values():
            if record.format != self.form:
                raise ConfigError(
                    f"expected --format {record.format}, as the results in {place} have, got {self.form}; "
                    "name it, or choose another --output-dir"
                )
        before = self._stored_models().get("settings", {}) if records else {}
        for name, value in before.items():
            if settings.get(name) != value:
                raise ConfigError(
                    f"expected {name} {json.dumps(value)}, as the results in {place} have, got "
                    f"{json.dumps(settings.get(name))}; use the same, or choose another --output-dir"
                )
        return records

    def _foreign(self) -> str | None:
        """The first file or folder that this program would not have created."""
        for folder, pattern in _OWN_NAMES.items():
            for name in self.storage.names(folder):
                if not pattern.fullmatch(name):
                    return f"{folder}/{name}"
        for name, key in ((_RUN, "run"), (_MODELS, "settings")):
            data = self.storage.read(name)
            if data is not None and key not in _json_object(data):
                return name
        return None

    def _records(self) -> dict[str, ShardRecord]:
        """The records by shard name."""
        names = [name for name in self.storage.names("done") if _RECORD_NAME.fullmatch(name)]
        contents = self.storage.read_all("done", names)
        return {name.removesuffix(".json"): self._decode(name, data) for name, data in contents.items()}

    def _decode(self, name: str, data: bytes) -> ShardRecord:
        try:
            return ShardRecord.decode(data)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"expected a record of this version in {printable(self.storage.place)}/done/{name}, "
                f"got: {error}; remove it to have its recordings processed again"
            ) from error

    def _stored_models(self) -> dict[str, Any]:
        data = self.storage.read(_MODELS)
        return {} if data is None else _json_object(data)

    def _write_models(self) -> None:
        content = {"settings": self._settings, "models": self._models}
        self.storage.write(_MODELS, json.dumps(content).encode())

    def _models_of(self, records: Mapping[str, ShardRecord]) -> ModelNames | None:
        """As written by the driver after its first record; where it was killed before, of any record."""
        stored = self._stored_models().get("models") if records else None
        if stored is not None:
            asr, emotion = stored
            return asr, emotion
        return next((record.models for record in records.values()), None)

    def _has_other_models(self, record: ShardRecord) -> bool:
        if self._models is None:
            return False
        return normalized_models(record.models) != normalized_models(self._models)

    def _withdraw(self, shard: str) -> None:
        """Remove a shard's files, the record first: without it, the rest counts as incomplete."""
        self.storage.remove(f"done/{shard}.json")
        for folder in _TABLES:
            self.storage.remove(f"{folder}/{shard}.{self.form}")

    def _sweep(self, done: dict[str, ShardRecord]) -> None:
        """Remove the files of incomplete shards. Records that an earlier run's worker has written meanwhile
        count as completed. Its attempts do not count: the run may have been ended on purpose.
        """
        self.storage.clear("attempts", _OWN_NAMES["attempts"])
        self.storage.clear(UNFINISHED, _OWN_NAMES[UNFINISHED])
        for folder in _TABLES:
            for name in self.storage.names(folder):
                shard = name.rpartition(".")[0]
                if not _OWN_NAMES[folder].fullmatch(name) or shard in done:
                    continue
                data = self.storage.read(f"done/{shard}.json")
                if data is None:
                    self.storage.remove(f"{folder}/{name}")
                else:
                    done[shard] = self._decode(f"{shard}.json", data)


def _json_object(data: bytes) -> dict[str, Any]:
    """The JSON object; empty where the data is not one."""
    try:
        decoded = json.loads(data)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
