"""Any data set that Hugging Face's `datasets` reads, with columns of audio, text and labels.

`--data` is a TOML file that says which column is which:

    source = "name/on-the-hub"        # or a folder or Parquet file, relative to this file
    splits = ["train", "test"]        # none: all of them
    audio = "audio"                   # audio, text or both; "" for a column that there is not
    text = "sentence"
    label = "emotion"
    speaker = "speaker_id"
    [labels]                          # the corpus's names that are not common ones of ours
    fru = "other"

Audio is never decoded by that library: its bytes are written to files once, in the folder `audio_folder`
beside the TOML file, and are read as those of any other corpus.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import SettingsError
from ..settings_file import read_toml
from .example import CorpusError, Example
from .labels import label_of
from .manifest import split_of

CORPUS: Final = "datasets"
_INSTALL: Final = "expected the package datasets, got none: pip install 'emostream[datasets]'"


class DatasetColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """source: hub name, folder or file. revision, config: of the hub. The others: see above; dialogue, group,
    sex: as in a manifest. language: of the text.
    """

    source: str
    config: str | None = None
    revision: str | None = None
    splits: tuple[str, ...] = ()
    audio: str = "audio"
    text: str = ""
    label: str = "label"
    speaker: str = ""
    sex: str = ""
    dialogue: str = ""
    group: str = ""
    language: str = "en"
    labels: dict[str, str] = {}
    audio_folder: str = "audio-of-datasets"


def read_hub_dataset(path: Path) -> list[Example]:
    """path: the TOML file. Raises CorpusError: package, file, data set, column or label that is not there."""
    columns = _read_columns(path)
    examples: list[Example] = []
    for split, rows in _splits(columns, path).items():
        _check_columns(columns, rows.column_names, f"{columns.source}, {split}")
        if columns.audio:
            rows = rows.cast_column(columns.audio, _undecoded())
        names = getattr(rows.features[columns.label], "names", None)
        for number, row in enumerate(rows):
            examples.append(_example(columns, row, f"{split}/{number}", names, path))
    return examples


def _read_columns(path: Path) -> DatasetColumns:
    try:
        columns = msgspec.convert(read_toml(path, "the columns of a data set"), DatasetColumns)
    except SettingsError as error:
        raise CorpusError(str(error)) from error
    except msgspec.ValidationError as error:
        raise CorpusError(f"expected the columns of a data set in {path}: {error}") from error
    if not columns.audio and not columns.text:
        raise CorpusError(f"{path}: expected a column of audio, of text or both, got neither: name one")
    return columns


def _splits(columns: DatasetColumns, path: Path) -> dict[str, Any]:
    """Name -> rows."""
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(_INSTALL) from error
    local = path.parent / columns.source
    try:
        if local.is_file():
            found = datasets.load_dataset("parquet", data_files=str(local))
        elif (local / "dataset_dict.json").is_file() or (local / "state.json").is_file():
            found = datasets.load_from_disk(str(local))
        else:
            name = str(local) if local.is_dir() else columns.source
            found = datasets.load_dataset(name, columns.config, revision=columns.revision)
    except Exception as error:  # the library, its file formats and the hub each have types of their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorpusError(
            f"{path}: expected a data set at {columns.source}, got {reason}: check source and config"
        ) from error
    by_name = dict(found) if isinstance(found, dict) else {"": found}
    if missing := [name for name in columns.splits if name not in by_name]:
        raise CorpusError(
            f"{path}: expected splits out of {', '.join(by_name)}, got {missing[0]}: change splits"
        )
    return {name: by_name[name] for name in columns.splits or by_name}


def _check_columns(columns: DatasetColumns, present: list[str], where: str) -> None:
    wanted = ("audio", "text", "label", "speaker", "sex", "dialogue", "group")
    for role in wanted:
        name = getattr(columns, role)
        if name and name not in present:
            raise CorpusError(
                f"{where}: expected a column {name} for {role}, got {', '.join(present)}: name another"
            )


def _undecoded() -> Any:
    import datasets

    return datasets.Audio(decode=False)


def _example(
    columns: DatasetColumns, row: dict[str, Any], key: str, names: list[str] | None, path: Path
) -> Example:
    value = row[columns.label]
    original = str(names[value] if names is not None and isinstance(value, int) else value)
    where = f"{columns.source}/{key}"
    split = split_of(key.partition("/")[0])

    def cell(column: str) -> str:
        return "" if not column or row[column] is None else str(row[column])

    def prefixed(column: str) -> str:
        return f"{columns.source}/{cell(column)}" if cell(column) else ""

    return Example(
        corpus=CORPUS,
        key=where,
        emotion=label_of(columns.labels.get(original, original), where),
        emotion_orig=original,
        path=_audio_file(row[columns.audio], path.parent / columns.audio_folder, where)
        if columns.audio
        else None,
        words=cell(columns.text),
        language=columns.language,
        speaker=prefixed(columns.speaker),
        sex=cell(columns.sex),
        dialogue=prefixed(columns.dialogue),
        group=cell(columns.group),
        split=split,
    )


def _audio_file(audio: dict[str, Any] | None, folder: Path, where: str) -> Path:
    """The file itself where the data set names one that is here, or its bytes written to one."""
    content, name = (audio or {}).get("bytes"), str((audio or {}).get("path") or "")
    if content is None:
        if not Path(name).is_file():
            raise CorpusError(
                f"{where}: expected audio, got none: leave the row out, or set audio to nothing"
            )
        return Path(name)
    file = folder / (hashlib.sha256(content).hexdigest()[:24] + (Path(name).suffix or ".audio"))
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(content)
        part.replace(file)
    return file
