"""What several commands ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec.structs import replace

from ..corpora.choice import CORPORA, read_corpus
from ..corpora.example import CorpusError, Example
from ..corpora.leaks import Unit
from ..errors import SettingsError
from ..protocols.experiment import Experiment, read_experiment, refuse_contradictions

RUNS: Final = Path(__file__).resolve().parents[1] / "runs"

CorpusOption = Annotated[
    list[str], typer.Option("--corpus", help=f"One of {', '.join(CORPORA)}. Several: repeat, with --data.")
]
DataOption = Annotated[
    list[Path], typer.Option("--data", help="The corpus's folder, or a manifest's file.", show_default=False)
]
PartOption = Annotated[
    bool, typer.Option("--part", help="Take a part of a corpus whose size is known and checked otherwise.")
]
ConfigOption = Annotated[
    str, typer.Option("--config", help=f"TOML of the experiment, or the name of one in {RUNS.name}/.")
]
WorkOption = Annotated[
    Path, typer.Option("--work", help="Caches, snapshots, outcomes: a stopped command goes on from there.")
]
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
CpuOption = Annotated[bool, typer.Option("--cpu", help="Compute on the CPU even where there is a GPU.")]


def read_corpora(names: Sequence[str], folders: Sequence[Path], *, part: bool) -> list[Example]:
    """All examples of all corpora. Raises CorpusError."""
    if len(names) != len(folders):
        raise CorpusError(
            f"expected as many --data as --corpus, got {len(folders)} and {len(names)}: name them in pairs"
        )
    examples = [
        e for name, folder in zip(names, folders, strict=True) for e in read_corpus(name, folder, part=part)
    ]
    seen: set[str] = set()
    for example in examples:
        if example.key in seen:
            raise CorpusError(f"expected every utterance once, got {example.key} twice: leave one corpus out")
        seen.add(example.key)
    return examples


def units_of(names: Sequence[str]) -> tuple[Unit, ...]:
    """What the parts of a fold must not share: where a corpus's own splits share speakers, dialogues."""
    shared = any(CORPORA[name].disjoint == ("dialogue",) for name in names)
    return ("dialogue",) if shared else ("speaker", "dialogue")


def read_config(config: str, audio: str | None, text: str | None) -> Experiment:
    """A file, or the name of a run that comes along. Raises SettingsError."""
    path = Path(config)
    if not path.suffix and not path.exists():
        path = RUNS / f"{config}.toml"
        if not path.exists():
            known = ", ".join(sorted(file.stem for file in RUNS.glob("*.toml")))
            raise SettingsError(f"expected a TOML file or one of {known}, got {config}: check --config")
    experiment = read_experiment(path)
    model = replace(
        experiment.model, audio=audio or experiment.model.audio, text=text or experiment.model.text
    )
    experiment = replace(experiment, model=model)
    refuse_contradictions(experiment, str(path))
    return experiment
