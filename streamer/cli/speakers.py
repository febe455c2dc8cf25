"""`emostream speakers`: the enrolled speakers of this user."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..display_paths import printable
from ..speakers.store import SpeakerStore


def speakers(
    *,
    delete: list[str] | None,
) -> None:
    """Run the command; `commands.speakers` has its options."""
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
