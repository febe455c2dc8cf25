"""Options that several commands share, and the functions that read what they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec.structs import replace

from ..corpora.example import CorpusError, Example
from ..corpora.leakage import DisjointUnit
from ..corpora.registry import CORPORA, read_corpus
from ..errors import SettingsError

if TYPE_CHECKING:
    from ..experiments.experiment import Experiment

RUNS: Final = Path(__file__).resolve().parents[1] / "runs"

_RECIPES: Final = {"bundled", "bundled-encoders", "bundled-whisper"}
"""Files in there that are no experiments but runs of `train` and `distill`, for the bundled models."""

CorpusOption = Annotated[
    list[str], typer.Option("--corpus", help=f"One of {', '.join(CORPORA)}. Several: repeat, with --data.")
]
OptionalCorpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        help=f"One of {', '.join(CORPORA)}. Several: repeat, with --data.",
        show_default=False,
    ),
]
DataOption = Annotated[
    list[Path], typer.Option("--data", help="The corpus's folder, or a manifest's file.", show_default=False)
]
PartOption = Annotated[
    bool, typer.Option("--part", help="Accept a part of a corpus whose size is otherwise checked.")
]
ConfigOption = Annotated[
    str, typer.Option("--config", help=f"TOML of the experiment, or the name of one in {RUNS.name}/.")
]
OptionalConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config", help=f"TOML of the experiment, or the name of one in {RUNS.name}/.", show_default=False
    ),
]
WorkOption = Annotated[
    Path,
    typer.Option(
        "--work", help="Folder of caches, snapshots and results: an interrupted command resumes from it."
    ),
]
OutOption = Annotated[Path, typer.Option("--output-dir", help="Folder of the report: table.md, CSV, plots.")]
AsrOption = Annotated[
    str, typer.Option("--asr", help="The transcriber, as for `emostream live`: auto, pocketsphinx, a model.")
]
AudioOption = Annotated[
    str | None,
    typer.Option("--audio", help="Audio encoder in place of the configured one.", show_default=False),
]
TextOption = Annotated[
    str | None,
    typer.Option("--text", help="Text encoder in place of the configured one.", show_default=False),
]
WhisperOption = Annotated[
    Path | None,
    typer.Option(
        "--whisper",
        help="A faster-whisper folder whose encoder to share. Default: the audio encoder of --encoders.",
        show_default=False,
    ),
]
EncodersOption = Annotated[
    Path | None,
    typer.Option(
        "--encoders",
        help="Checkpoint folder of the text encoder, and of the audio encoder without --whisper.",
        show_default="the bundled one",
    ),
]
HoursOption = Annotated[
    bool,
    typer.Option(
        "--hours",
        help="Measure a few steps of each kind, print time, disk and memory, and end without training.",
    ),
]
CpuOption = Annotated[bool, typer.Option("--cpu", help="Use the CPU even if there is a GPU.")]


def read_corpora(names: Sequence[str], folders: Sequence[Path], *, part: bool) -> list[Example]:
    """All examples of all corpora. Raises CorpusError."""
    if len(names) != len(folders):
        raise CorpusError(
            f"expected as many --data as --corpus, got {len(folders)} and {len(names)}: name them in pairs"
        )
    mixed = len(disjoint_units(names)) > 1
    examples: list[Example] = []
    for name, folder in zip(names, folders, strict=True):
        found = read_corpus(name, folder, part=part)
        # With other corpora such characters get no names: these would connect all dialogues to one group.
        examples += (
            [replace_fields(e, speaker="") for e in found]
            if mixed and _has_recurring_characters(name)
            else found
        )
    seen: set[str] = set()
    for example in examples:
        if example.key in seen:
            raise CorpusError(f"expected every utterance once, got {example.key} twice: leave one corpus out")
        seen.add(example.key)
    return examples


def disjoint_units(names: Sequence[str]) -> tuple[DisjointUnit, ...]:
    """What the parts of a fold must not share: dialogues only if the same characters are in all of them."""
    return (
        ("dialogue",) if all(_has_recurring_characters(name) for name in names) else ("speaker", "dialogue")
    )


def _has_recurring_characters(corpus: str) -> bool:
    """Whether its own splits share speakers, as the characters of *Friends*."""
    return CORPORA[corpus].disjoint == ("dialogue",)


def encoder_folder(folder: Path | None) -> Path:
    """Of --encoders: the bundled checkpoint where it was not given."""
    from emostream.models import BUNDLED

    return BUNDLED if folder is None else folder


def check_output_folder(folder: Path, option: str) -> None:
    """Raises SettingsError where something else is in place of a folder to be written."""
    blocked = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        raise SettingsError(f"expected a folder, or none yet, for {option}, got {blocked}: name another one")


def read_config(config: str, audio: str | None, text: str | None) -> Experiment:
    """The experiment of a TOML file, or of a name in RUNS. Raises SettingsError."""
    from ..experiments.experiment import check_consistency, read_experiment

    path = Path(config)
    if not path.suffix and not path.is_file():
        path = RUNS / f"{config}.toml"
        if not path.exists():
            known = ", ".join(sorted({file.stem for file in RUNS.glob("*.toml")} - _RECIPES))
            raise SettingsError(f"expected a TOML file or one of {known}, got {config}: check --config")
    experiment = read_experiment(path)
    model = replace(
        experiment.model, audio=audio or experiment.model.audio, text=text or experiment.model.text
    )
    experiment = replace(experiment, model=model)
    check_consistency(experiment, str(path))
    return experiment
