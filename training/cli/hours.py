"""`python -m emostream.training table hours`"""

from __future__ import annotations

from typing import Annotated

import typer

from ..experiments.gpus import GPUS, gpu_named
from ..experiments.table_rows import paper_rows
from . import options


def hours(
    gpu: Annotated[str, typer.Option("--gpu", help=f"One of {', '.join(GPUS)}.", show_default=False)],
    config: options.ConfigOption = "papers",
    clips: Annotated[
        int, typer.Option("--clips", min=2, help="Of the corpus. Default: IEMOCAP's of four classes.")
    ] = 5531,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Of a clip, on average: an assumption.")
    ] = 4.5,
    tokens: Annotated[int, typer.Option("--tokens", min=3, help="Of a clip's text, on average.")] = 16,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Of the protocol.")] = 5,
    utilisation: Annotated[
        float,
        typer.Option(
            "--utilisation", min=0.01, max=1.0, help="Share of the GPU's peak that training reaches: assumed."
        ),
    ] = 0.3,
    audio: options.AudioOption = None,
    text: options.TextOption = None,
) -> None:
    """The hours, disk and memory of the papers' table on a GPU that is not here: computed, not measured.

    Needs neither the corpus nor the encoders' weights. On the machine itself, --hours of the other commands
    measures.
    """
    from ..experiments.ablations import fine_tunes
    from ..experiments.compute_cost import CorpusSize, compute_table

    experiment = options.read_config(config, audio, text)
    rows = paper_rows(experiment.alphas, experiment.fused_alphas, fine_tuned=fine_tunes(experiment))
    size = CorpusSize(clips, seconds, tokens, folds)
    print(compute_table(experiment, rows, size, gpu_named(gpu), utilisation).markdown())
