"""`python -m emostream.training distill`: the encoders of models/bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ..corpora.manifest import DEFAULT_DATA
from . import options

_WEIGHTS: Final = DEFAULT_DATA.parent / "weights"


def distill(
    out: Annotated[
        Path, typer.Option("--output-dir", help="Checkpoint folder to write.", show_default=False)
    ],
    config: Annotated[Path, typer.Option("--config", help="TOML of the run.")] = options.RUNS
    / "bundled-encoders.toml",
    data: Annotated[
        Path, typer.Option("--data", help="Folder with manifest.csv and text.csv.gz.")
    ] = DEFAULT_DATA,
    weights: Annotated[Path, typer.Option("--weights", help="Folder of the teachers.")] = _WEIGHTS,
    work: options.WorkOption = Path("run"),
) -> None:
    """Distill both encoders of models/bundled from larger models; train --encoders builds on them.

    An interrupted run resumes where it stopped.
    """
    from ..distillation.pipeline import distill_encoders
    from ..distillation.settings import read_settings
    from ..distillation.stages import RecipePaths

    options.check_output_folder(out, "--output-dir")
    options.check_output_folder(work, "--work")
    distill_encoders(read_settings(config), RecipePaths(data, weights, work, out))
    print(out)
