"""`emostream client`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import (
    ChannelsOption,
    FormatOption,
    LanguageOption,
    SpeakerOption,
    TrackOption,
)


def client(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Recording to send; - reads standard input. Default: the microphone.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="URL of the server's websocket.")] = (
        "ws://127.0.0.1:8765/v1/stream"
    ),
    microphone: Annotated[
        str | None,
        typer.Option(
            "--microphone",
            metavar="NAME",
            help="Number or part of the name, see [bold]emostream devices[/bold]. Default: the system's.",
            show_default=False,
        ),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Send the recording as fast as the server takes it, not in real time."),
    ] = False,
    form: FormatOption = "jsonl",
    interim: Annotated[
        bool,
        typer.Option("--interim", help="With jsonl: interim results too, with the words so far."),
    ] = False,
    channels: ChannelsOption = None,
    track: TrackOption = None,
    language: LanguageOption = None,
    speaker: SpeakerOption = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File whose first line is a token that the server accepts.",
            show_default=False,
        ),
    ] = None,
    ssl_ca_certs: Annotated[
        Path | None,
        typer.Option(
            "--ssl-ca-certs",
            metavar="FILE",
            help="PEM file of the certificate authority, if this machine does not trust it already.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send a recording or the microphone to a server and print its events.

    A lost connection is re-established and the session resumed. After a restart of the server the
    utterance that had no result yet is heard again, and times go on.
    """
    from ..client import client as run_client

    run_client(
        file=file,
        url=url,
        microphone=microphone,
        fast=fast,
        form=form,
        interim=interim,
        channels=channels,
        track=track,
        language=language,
        speaker=speaker,
        token_file=token_file,
        ssl_ca_certs=ssl_ca_certs,
    )
