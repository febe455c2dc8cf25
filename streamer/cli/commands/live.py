"""`emostream live`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...output.format_names import FormatName
from ..option_groups import with_option_groups
from ..options import AudioOptions, LanguageOption, MicrophoneOption, ModelOptions, PageOptions, SpeakerOption


@with_option_groups
def live(
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Play this recording at its own pace instead of the microphone.",
            show_default=False,
        ),
    ] = None,
    microphone: MicrophoneOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write results to this file instead of to the terminal.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        FormatName | None,
        typer.Option(
            "--format",
            help="Of --output; see [bold]emostream replay --help[/bold]. Default: jsonl.",
            show_default=False,
        ),
    ] = None,
    language: LanguageOption = None,
    speaker: SpeakerOption = None,
    enroll: Annotated[
        str | None,
        typer.Option(
            "--enroll",
            metavar="NAME",
            help="Learn a speaker's voice from fifteen seconds of ordinary talk (or from --file) and save it "
            "under this name, for --speaker.",
            show_default=False,
        ),
    ] = None,
    audio: AudioOptions,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Analyze this machine's microphone; results in the terminal and on a web page.

    With --file a recording is played as if it were live: on the page, and to every client that subscribes.
    Ctrl-C ends it.
    """
    from ..live import live as run_live

    run_live(
        file=file,
        microphone=microphone,
        output=output,
        form=form,
        language=language,
        speaker=speaker,
        enroll=enroll,
        audio=audio,
        page=page,
        models=models,
    )
