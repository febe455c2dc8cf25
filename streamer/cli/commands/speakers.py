"""`emostream speakers`: its options."""

from __future__ import annotations

from typing import Annotated

import typer


def speakers(
    delete: Annotated[
        list[str] | None,
        typer.Option(
            "--delete",
            metavar="NAME",
            help="Delete this speaker's voice; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the speakers whose voices are enrolled, for [bold]--speaker NAME[/bold].

    A voice is a small file of means in this user's data folder: no sound, and no words.
    """
    from ..speakers import speakers as run_speakers

    run_speakers(
        delete=delete,
    )
