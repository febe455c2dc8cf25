"""`python -m emostream.training table papers | folds | unseen | speakers`"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from emostream.models.baseline import BaselineSettings

from ..corpora.manifest import DEFAULT_DATA
from ..emotion.settings import ContrastiveSettings
from ..errors import SettingsError
from ..experiments.ablations import aligned_granularities
from ..experiments.environment import RunMetadata, commit, machine
from ..experiments.experiment import Experiment
from ..experiments.folds import Fold
from ..experiments.prepare_table import PreparedTable, TableRequest, prepare_table
from ..experiments.reference_results import IEMOCAP_NOT_RUN
from ..experiments.report import write_report
from ..experiments.table import run_table
from ..experiments.table_rows import TableRow, paper_rows
from ..trainer.callbacks import progress_bars
from ..trainer.runtime import make_accelerator
from ..whisper_recipe.choice import Choice
from ..whisper_recipe.pipeline import WhisperPaths, leave_corpora_out, prepare
from ..whisper_recipe.settings import read_whisper_settings
from ..whisper_recipe.speakers import leave_speakers_out
from . import options
from .console import PreparationProgress

_PROTOCOLS: Final = {
    "group": "each of the corpus's own groups (sessions, numbered folds) left out in turn",
    "speaker": "each speaker left out in turn",
    "corpus": "each corpus left out in turn, trained on the others",
    "split": "the corpus's own train, dev and test",
}

app = typer.Typer(
    name="table",
    no_args_is_help=True,
    add_completion=False,
    help="Train and evaluate fold by fold, and write a report.",
)

OutOption = Annotated[Path, typer.Option("--output-dir", help="Folder of the report: table.md, CSV, plots.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Parallel processes; on a CPU, one per core is useful.")
]

WhisperOption = Annotated[
    Path, typer.Option("--whisper", help="A faster-whisper folder with the encoder.", show_default=False)
]
RecipeOption = Annotated[Path, typer.Option("--config", help="TOML of the run of the recipe.")]
RecipeDataOption = Annotated[
    Path, typer.Option("--data", help="Folder of the corpora, a manifest.csv in each.")
]


@app.command()
def papers(
    corpus: options.CorpusOption,
    data: options.DataOption,
    out: OutOption = Path("run/papers"),
    config: options.ConfigOption = "papers",
    work: options.WorkOption = Path("run"),
    workers: WorkersOption = 1,
    asr: options.AsrOption = "auto",
    audio: options.AudioOption = None,
    text: options.TextOption = None,
    cpu: options.CpuOption = False,
    part: options.PartOption = False,
) -> None:
    """The table of both papers: contrastive regularization (each objective, each alpha) beside its baseline,
    early and late fusion, each granularity; over all folds and seeds.
    """
    experiment = options.read_config(config, audio, text)
    if experiment.contrastive != ContrastiveSettings():
        raise SettingsError(
            f"{config}: expected no [contrastive], which the rows of this table set, got "
            f"{experiment.contrastive.objective} with alpha {experiment.contrastive.alpha:g}: remove it"
        )
    title = f"Fusion, granularities and contrastive regularization on {', '.join(corpus)}"
    _run(experiment, None, title, _TableOptions(corpus, data, out, work, workers, asr, cpu, part))


@app.command()
def folds(
    corpus: options.CorpusOption,
    data: options.DataOption,
    config: options.ConfigOption,
    out: OutOption = Path("run/folds"),
    work: options.WorkOption = Path("run"),
    workers: WorkersOption = 1,
    asr: options.AsrOption = "auto",
    audio: options.AudioOption = None,
    text: options.TextOption = None,
    cpu: options.CpuOption = False,
    part: options.PartOption = False,
) -> None:
    """One experiment over all its folds and seeds."""
    experiment = options.read_config(config, audio, text)
    title = f"{experiment.name} on {', '.join(corpus)}"
    args = _TableOptions(corpus, data, out, work, workers, asr, cpu, part)
    _run(experiment, TableRow(experiment.name, "other"), title, args)


@app.command()
def unseen(
    whisper: WhisperOption,
    config: RecipeOption = options.RUNS / "bundled-whisper.toml",
    data: RecipeDataOption = DEFAULT_DATA,
    out: OutOption = Path("run/unseen"),
    work: options.WorkOption = Path("run"),
    probe: Annotated[
        bool, typer.Option("--probe", help="A logistic regression on the same states instead of the head.")
    ] = False,
) -> None:
    """The recipe of models/bundled_whisper with each corpus left out in turn: labels, baselines, doubts."""
    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    context, _ = prepare(read_whisper_settings(config), WhisperPaths(data, whisper, work))
    report = leave_corpora_out(context, out, probe=probe)
    print(f"{report.tables()}\n\n{out / 'table.md'}")


@app.command()
def speakers(
    whisper: WhisperOption,
    config: RecipeOption = options.RUNS / "bundled-whisper.toml",
    data: RecipeDataOption = DEFAULT_DATA,
    corpus: Annotated[str, typer.Option("--corpus", help="A corpus with folds of its own.")] = "ravdess",
    neutral_offset: Annotated[
        float,
        typer.Option(
            "--neutral-offset",
            help="Taken from neutral's log odds; `table unseen` chooses it on other corpora.",
        ),
    ] = 0.0,
    out: OutOption = Path("run/speakers"),
    work: options.WorkOption = Path("run"),
) -> None:
    """The recipe of models/bundled_whisper with a part of one corpus's speakers left out in turn."""
    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    settings = read_whisper_settings(config)
    context, _ = prepare(settings, WhisperPaths(data, whisper, work))
    choice = Choice(neutral_offset, BaselineSettings(settings.baseline.prior_count))
    report = leave_speakers_out(context, corpus, choice)
    print(f"{report.table()}\n\n{report.write(out)}")


@dataclass(frozen=True, slots=True)
class _TableOptions:
    """The options of both commands, besides the experiment."""

    corpus: Sequence[str]
    data: Sequence[Path]
    out: Path
    work: Path
    workers: int
    asr: str
    cpu: bool
    part: bool


def _run(experiment: Experiment, row: TableRow | None, title: str, args: _TableOptions) -> None:
    """row: the only one of the table; None: those of the papers."""
    options.check_output_folder(args.out, "--output-dir")
    options.check_output_folder(args.work, "--work")
    examples = options.read_corpora(args.corpus, args.data, part=args.part)
    # Other alignments than the baseline's would be a second difference between the rows.
    recognized = experiment.data.text_source == "recognized" and not aligned_granularities(experiment)
    gold = recognized and any(e.english and e.path and not e.paired for e in examples)
    rows = paper_rows(experiment.alphas, gold=gold) if row is None else [row]
    request = TableRequest(
        experiment=experiment,
        examples=tuple(examples),
        units=options.disjoint_units(args.corpus),
        rows=tuple(rows),
        asr=args.asr,
        work=args.work,
        cpu=args.cpu,
    )
    accelerator = make_accelerator(experiment.trainer.precision, cpu=args.cpu, tf32=experiment.trainer.tf32)
    if args.workers > 1 and (accelerator.num_processes > 1 or accelerator.device.type != "cpu"):
        raise SettingsError(
            f"expected one worker on {accelerator.device} with {accelerator.num_processes} processes, got "
            f"--workers {args.workers}: workers are for the cores of a CPU"
        )
    with progress_bars() as bars:
        prepared = prepare_table(request, accelerator, PreparationProgress(bars))
        results = run_table(request, prepared, bars, args.workers)
    if not accelerator.is_main_process:
        return
    metadata = RunMetadata(
        command=f"python -m emostream.training {shlex.join(sys.argv[1:])}",
        corpus=_tested_on(prepared.folds, part=args.part or experiment.max_per_speaker_label > 0),
        protocol=_PROTOCOLS[experiment.protocol],
        validation=_validation(experiment, prepared.folds),
        device=str(accelerator.device),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        commit=commit(),
        notes=_notes(experiment, prepared),
    )
    file = write_report(
        args.out,
        title,
        results,
        about=metadata,
        inflated=any(example.paired for example in examples),
        missing_corpora=[] if "iemocap" in args.corpus or len(rows) == 1 else [IEMOCAP_NOT_RUN],
    )
    print(file.read_text(encoding="utf-8").split("## Files")[0].rstrip())
    print(f"\n{file}")


def _notes(experiment: Experiment, prepared: PreparedTable) -> tuple[str, ...]:
    encoders = f"Encoders: {experiment.model.audio}, {experiment.model.text}."
    words = f"Words: {experiment.data.text_source}"
    words += f" by {prepared.transcriber}." if prepared.transcriber else "."
    return (*([experiment.note] if experiment.note else []), encoders, words)


def _tested_on(folds: Sequence[Fold], *, part: bool) -> str:
    corpora = ", ".join(sorted({example.corpus for fold in folds for example in fold.test}))
    return f"part of {corpora}" if part else corpora


def _validation(experiment: Experiment, folds: Sequence[Fold]) -> str:
    """What the validation set was, how large, and what it decided."""
    if experiment.protocol == "split":
        source = "the corpus's own dev split"
    else:
        known = all(example.speaker for fold in folds for example in fold.validation)
        source = "whole speakers and dialogues" if known else "whole dialogues, as far as they are known"
    shares = [len(fold.validation) / len(fold.train + fold.validation) for fold in folds]
    stops = experiment.trainer.keep == "best" or experiment.trainer.patience > 0
    decides = "stops training, chooses alpha and fits" if stops else "chooses alpha and fits"
    return f"{source}, {sum(shares) / len(shares):.0%} of what is not tested; it {decides} the calibration"
