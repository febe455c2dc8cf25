"""`python -m emostream.training table papers | folds | hours | unseen | speakers`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ..errors import SettingsError
from ..experiments.protocols import PROTOCOLS, VALIDATIONS
from ..experiments.table_rows import GROUPS, TableRow
from . import options
from .hours import hours
from .table_run import PaperRows, TableOptions, row_groups, run_protocols
from .table_unseen import speakers, unseen

_PAPERS: Final = "papers"
_QUICK: Final = "papers-quick"

app = typer.Typer(
    name="table",
    no_args_is_help=True,
    add_completion=False,
    help="Train and evaluate fold by fold, and write a report.",
)

WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Parallel processes; on a CPU, one per core is useful.")
]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol",
        help=f"What is left out in turn, in place of the TOML's: {', '.join(PROTOCOLS)}. Several: repeat; "
        "each gets a folder, and claims.md has all of them.",
        show_default=False,
    ),
]
ValidationOption = Annotated[
    str | None,
    typer.Option(
        "--validation",
        help=f"What stops training and calibrates, in place of the TOML's: {', '.join(VALIDATIONS)}.",
        show_default=False,
    ),
]
RowsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rows",
        help=f"Only rows of this group: {', '.join(GROUPS[1:-1])}; baselines always. Several: repeat.",
        show_default=False,
    ),
]


@app.command()
def papers(
    corpus: options.CorpusOption,
    data: options.DataOption,
    out: options.OutOption = Path("run/papers"),
    config: options.ConfigOption = _PAPERS,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"Frozen encoders: --config {_QUICK}, for a CPU.")
    ] = False,
    protocol: ProtocolOption = None,
    validation: ValidationOption = None,
    rows: RowsOption = None,
    work: options.WorkOption = Path("run"),
    workers: WorkersOption = 1,
    asr: options.AsrOption = "auto",
    audio: options.AudioOption = None,
    text: options.TextOption = None,
    cpu: options.CpuOption = False,
    part: options.PartOption = False,
    hours: options.HoursOption = False,
) -> None:
    """The table of both papers: contrastive regularization (each objective, each alpha) of concatenated
    codes, and of the multi-level model, beside their baselines; early and late fusion; one granularity after
    the other; over all folds and seeds. The encoders are fine-tuned, with --quick frozen.

    The words are the corpus's own; a row has those of a Whisper model, unless --asr is none.
    """
    from ..emotion.settings import ContrastiveSettings

    if quick and config != _PAPERS:
        raise SettingsError(
            f"expected --quick or --config, got --quick and --config {config}: --quick is --config {_QUICK}"
        )
    config = _QUICK if quick else config
    experiment = options.read_config(config, audio, text)
    given = experiment.contrastive
    if given != ContrastiveSettings(discriminator=given.discriminator):
        raise SettingsError(
            f"{config}: expected a discriminator alone in [contrastive], whose other settings the rows of "
            f"this table are, got {given.objective} with alpha {given.alpha:g}: remove it"
        )
    args = TableOptions(corpus, data, out, work, workers, asr, cpu, part, hours)
    title = f"Fusion, granularities and contrastive regularization on {', '.join(corpus)}"
    run_protocols(experiment, protocol, validation, PaperRows(row_groups(rows)), title, args)


@app.command()
def folds(
    corpus: options.CorpusOption,
    data: options.DataOption,
    config: options.ConfigOption,
    out: options.OutOption = Path("run/folds"),
    protocol: ProtocolOption = None,
    validation: ValidationOption = None,
    work: options.WorkOption = Path("run"),
    workers: WorkersOption = 1,
    asr: options.AsrOption = "auto",
    audio: options.AudioOption = None,
    text: options.TextOption = None,
    cpu: options.CpuOption = False,
    part: options.PartOption = False,
    hours: options.HoursOption = False,
) -> None:
    """One experiment over all its folds and seeds."""
    experiment = options.read_config(config, audio, text)
    title = f"{experiment.name} on {', '.join(corpus)}"
    args = TableOptions(corpus, data, out, work, workers, asr, cpu, part, hours)
    run_protocols(experiment, protocol, validation, TableRow(experiment.name, "other"), title, args)


for _command in (hours, unseen, speakers):
    app.command()(_command)
