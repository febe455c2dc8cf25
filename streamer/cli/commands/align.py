"""`emostream align`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..options import AsrOption


def align(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording of one utterance, at most 28 s.")],
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="WORDS",
            help="Transcript of the recording. Default: transcribed by --asr.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="FILE",
            help="Plot waveform, words, syllables and phones to this file.",
            show_default=False,
        ),
    ] = None,
    asr: AsrOption = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            metavar="LANGUAGE",
            help="Language of the speech; syllables and phones exist for English only.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="text: one line per word, for reading. json: one JSON object."),
    ] = "text",
) -> None:
    """Print when each word, syllable and phone of a recording is spoken (forced alignment).

    The transcript is taken as given: a wrong word is aligned too.
    """
    from ..align import align as run_align

    run_align(
        file=file,
        text=text,
        png=png,
        asr=asr,
        language=language,
        form=form,
    )
