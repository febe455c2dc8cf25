"""`python -m emostream.training probe`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import SettingsError
from . import options
from .console import PreparationProgress


def probe(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="PLACE",
            help="A manifest, a folder with manifests, or folders named by label. Several: one corpus each.",
        ),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            help="Take this checkpoint's audio encoder, and the layers that its head reads. Default: the "
            "bundled one.",
            show_default=False,
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option("--audio", help="Another audio encoder, by folder or hub name.", show_default=False),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="N,N,...",
            help="Layers to pool; 0 is the input of the first.",
            show_default=False,
        ),
    ] = None,
    own_labels: Annotated[
        bool, typer.Option("--own-labels", help="The corpora's own labels in place of the four.")
    ] = False,
    centre_speakers: Annotated[
        bool,
        typer.Option(
            "--center-speakers",
            help="Subtract each speaker's mean over all of his clips, without their labels.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output-dir", help="Also write probe.md, probe.json and predictions.csv.", show_default=False
        ),
    ] = None,
    work: options.WorkOption = Path("run"),
    cpu: options.CpuOption = False,
) -> None:
    """Logistic regression on pooled layers of the frozen encoder: the baseline that a head has to surpass.

    Each corpus in folds of its speakers, and each corpus left out where there are several. The strength of
    the regularization is chosen on inner folds, by speaker as well.
    """
    from ..probe.run import probe as run_probe
    from ..trainer.callbacks import progress_bars

    for folder, option in ((out, "--output-dir"), (work, "--work")):
        if folder is not None:
            options.check_output_folder(folder, option)
    chosen = None if layers is None else _layers(layers)
    with progress_bars() as bars:
        progress = PreparationProgress(bars)
        report = run_probe(
            places,
            checkpoint=checkpoint,
            audio=audio,
            layers=chosen,
            own_labels=own_labels,
            centre_speakers=centre_speakers,
            work=work,
            device="cpu" if cpu else "auto",
            on_progress=lambda done, clips: progress("encoding clips", done, clips),
        )
    print(f"{report.summary()}\n\n{report.table()}")
    if out is not None:
        print(f"\n{report.write(out)}")


def _layers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise SettingsError(f"expected --layers as numbers with commas between them, got {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))
