"""Options of the speech that a benchmark streams."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..audio.frontend import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """The speech that is streamed, and where the figures go."""

    speech: Annotated[
        list[Path] | None,
        typer.Option(
            "--speech",
            metavar="PATH",
            help="Recordings of one utterance each, or folders of them; repeatable. Default: the demo's "
            "recording.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", help="Random seed of the clips' order and the gaps between them."
        ),
    ] = 0
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Also write the figures to this file, as JSON.", show_default=False
        ),
    ] = None

    def check(self) -> None:
        """Raises ConfigError where the figures cannot be written."""
        from .output_files import check_writable

        if self.json_file is not None:
            check_writable(self.json_file, "--json")

    def clips(self) -> list[Samples]:
        """Raises ConfigError."""
        from ..bench.workload import read_clips

        return read_clips(self.speech or [Path(str(files("emostream.demo") / "recording.ogg"))])

    def write(self, figures: object) -> None:
        if self.json_file is not None:
            self.json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
