"""`emostream speakers`: the enrolled speakers of this user."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..display_paths import printable
from ..speakers.store import SpeakerStore


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
    store, console = SpeakerStore(), Console()
    for name in delete or ():
        store.delete(name)
    if delete:
        return
    names = store.names()
    if not names:
        console.print(
            "No speaker is enrolled; see [bold]emostream live --enroll NAME[/bold].", highlight=False
        )
        return
    table = Table("name", "utterances", "enrolled", "emotion model", box=None)
    for name in names:
        speaker = store.load(name)
        table.add_row(escape(name), str(speaker.voice.utterances), speaker.enrolled, escape(speaker.model))
    console.print(table)
    console.print(f"In {printable(store.folder)}", highlight=False, soft_wrap=True, markup=False)
