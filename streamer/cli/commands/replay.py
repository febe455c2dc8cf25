"""`emostream replay`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..option_groups import with_option_groups
from ..options import AudioOptions, LanguageOption, ModelOptions, SpeakerOption
from ..output_options import OutputOptions


@with_option_groups
def replay(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="Recordings in any format that FFmpeg decodes, videos, folders of them, glob patterns, "
            "sessions that [bold]emostream record[/bold] recorded, or - for standard input.",
        ),
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="How many recordings at a time, on the same models. Default: as many as keep them busy; one "
            "with [bold]--pace realtime[/bold].",
            show_default=False,
        ),
    ] = None,
    pace: Annotated[
        Literal["full", "realtime"],
        typer.Option("--pace", help="full: as fast as the models go. realtime: at the audio's own pace."),
    ] = "full",
    language: LanguageOption = None,
    speaker: SpeakerOption = None,
    audio: AudioOptions,
    outputs: OutputOptions,
    models: ModelOptions,
) -> None:
    """Analyze recordings: the same pipeline as live, as fast as the models go.

    Every event is one line of JSON; with several recordings each line begins with the file's name. A
    recording that fails is reported at the end and does not stop the others: the exit status is 1 then,
    and 2 if none could be read.
    """
    from ..replay import replay as run_replay

    run_replay(
        inputs=inputs,
        jobs=jobs,
        pace=pace,
        language=language,
        speaker=speaker,
        audio=audio,
        outputs=outputs,
        models=models,
    )
