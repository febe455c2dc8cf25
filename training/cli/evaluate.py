"""`python -m emostream.training evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from ..corpora.manifest import DEFAULT_DATA
from ..corpora.places import read_places
from ..errors import SettingsError
from ..trainer.callbacks import progress_bars
from . import options
from .console import PreparationProgress

if TYPE_CHECKING:
    from ..evaluation.own_clips import OwnEvaluation

_REPORT: Final = "report.html"


def evaluate(
    out: Annotated[
        Path,
        typer.Option(
            "--output-dir",
            help="Folder for metrics.json, predictions.csv, and report.html or confusion.png.",
            show_default=False,
        ),
    ],
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PLACE]...",
            help="Clips of your own: a manifest, or folders named by label. The report is of them alone.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", help="Checkpoint folder or hub name. Default: the bundled one."),
    ] = None,
    manifest: Annotated[
        Path, typer.Option("--manifest", help="CSV, JSONL, or a folder with manifest.csv.")
    ] = DEFAULT_DATA / "manifest.csv",
    split: Annotated[
        Literal["train", "dev", "test", "all"],
        typer.Option("--split", help="all: every clip, and the only one for a manifest without splits."),
    ] = "test",
    asr: Annotated[
        str | None,
        typer.Option(
            "--asr",
            help="With PLACE: the transcriber whose words go in, as for `emostream live`. Default: the "
            "clips' own words, if they have any.",
            show_default=False,
        ),
    ] = None,
    work: options.WorkOption = Path("run"),
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also with noise, codecs, levels, silence, cuts: takes ten times as long."
        ),
    ] = False,
) -> None:
    """Evaluate a checkpoint on a manifest, through the recognizer that serves.

    With PLACE, on clips of your own: figures, and a page with diagrams and the worst clips to listen to.
    """
    options.check_output_folder(out, "--output-dir")
    if places:
        from ..evaluation.own_clips import evaluate_clips
        from ..evaluation.own_page import write_page

        if robustness or split != "test":
            raise SettingsError(
                "expected no --robustness and no --split with PLACE, whose clips are all evaluated: leave "
                "them out, or name the manifest with --manifest"
            )
        with progress_bars() as bars:
            evaluation = evaluate_clips(
                checkpoint, read_places(places), asr, work / "cache", PreparationProgress(bars)
            )
        evaluation.write(out)
        print(f"{_figures(evaluation)}\n\n{write_page(evaluation, out / _REPORT)}")
        return
    if asr is not None:
        raise SettingsError("expected PLACE with --asr, got none: name the clips")
    from emostream.models.checkpoint_files import resolve_checkpoint

    from ..evaluation.evaluate import evaluate as evaluate_checkpoint
    from ..evaluation.evaluation_report import conflict_table, corruption_table, evaluation_table, gain_list

    folder = resolve_checkpoint(checkpoint)
    found = evaluate_checkpoint(folder, manifest, split, out, robustness=robustness)
    parts = [
        evaluation_table(found.rows),
        gain_list(found),
        conflict_table(found),
        corruption_table(found),
    ]
    print("\n\n".join(part for part in parts if part))


def _figures(evaluation: OwnEvaluation) -> str:
    estimates = evaluation.estimates()
    named = {"ua": "UA", "wa": "WA", "macro_f1": "macro-F1"}
    parts = [
        f"{named[name]} {100 * each.value:.1f} "
        f"({100 * each.interval.low:.1f} to {100 * each.interval.high:.1f})"
        for name, each in estimates.items()
    ]
    wrong = sum(clip.wrong for clip in evaluation.clips)
    words = sum(bool(clip.text) for clip in evaluation.clips)
    error = 100 * evaluation.metrics.ece_equal_mass
    left_out = f"{evaluation.left_out} of other labels left out"
    first = f"{len(evaluation.clips)} clips, {words} with words, {left_out}; {wrong} wrong."
    intervals = f"percent, 95 % intervals by resampling {estimates['ua'].unit_kind}"
    return f"{first}\n{', '.join(parts)}, calibration error {error:.1f}; {intervals}."
