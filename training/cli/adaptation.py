"""`python -m emostream.training fit --init`: a checkpoint adapted to clips of one's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emostream.models.checkpoint_files import resolve_checkpoint
from emostream.models.encoders.onnx import GRAPH_FILE
from emostream.models.graphs.files import GRAPH_FILES

from ..adaptation.adapt import AdaptationRequest, adapt
from ..corpora.places import read_places
from ..errors import SettingsError
from ..trainer.callbacks import progress_bars
from . import options
from .console import PreparationProgress, print_total
from .export import write_graphs

BUNDLED: Final = "bundled"
"""The bundled checkpoint that is served by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationOptions:
    """Of the command. corpus: names of readers; empty: each place is looked at. asr: None for own words."""

    init: str
    corpus: Sequence[str]
    data: Sequence[Path]
    out: Path
    asr: str | None
    work: Path
    part: bool


def fit_from(chosen: AdaptationOptions) -> None:
    """Writes the checkpoint, prints what it gave, and last of all where it lies."""
    started = time.monotonic()
    options.check_output_folder(chosen.out, "--output-dir")
    options.check_output_folder(chosen.work, "--work")
    if chosen.corpus:
        examples = options.read_corpora(chosen.corpus, chosen.data, part=chosen.part)
        examples = [example for example in examples if example.path is not None]
    else:
        examples = read_places(chosen.data)
    init = resolve_checkpoint(None if chosen.init == BUNDLED else chosen.init)
    request = AdaptationRequest(
        init=init, examples=examples, asr=chosen.asr, work=chosen.work, out=chosen.out
    )
    with progress_bars() as bars:
        report = adapt(request, PreparationProgress(bars))
        if any((init / name).is_file() for name in (GRAPH_FILE, *GRAPH_FILES)):
            write_graphs(chosen.out)
    print_total(bars.console, {"clip": len(examples)}, time.monotonic() - started)
    print(f"{report.text()}\n\n{chosen.out}")


def refuse_with_init(given: dict[str, object]) -> None:
    """Raises SettingsError for options that a training from the beginning has. given: option -> value."""
    if named := [option for option, value in given.items() if value]:
        raise SettingsError(
            f"expected no {', '.join(named)} with --init, which has no settings to choose: leave it out, or "
            "leave --init out to train a model from the beginning"
        )
