"""The commands of the program, each imported when it is called: `--help` of one waits for no other."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final = {
    "demo": "Play the bundled recording through the whole pipeline and show it on a web page.",
    "live": "Analyze this machine's microphone; results in the terminal and on a web page.",
    "serve": "Serve websocket clients, each with an audio stream of its own.",
    "replay": "Analyze recordings: the same pipeline as live, as fast as the models go.",
    "record": "Analyze the microphone as [bold]emostream live[/bold] does, and record the session: audio and "
    "events.",
    "summary": "Summarize results of replay: time per emotion, and which emotion follows which.",
    "compare": "Compare two sets of results, or results and human labels: agreement, kappa, figures per "
    "label, and the utterances that differ.",
    "align": "Print when each word, syllable and phone of a recording is spoken (forced alignment).",
    "batch": "Analyze an archive of recordings on a Ray cluster.",
    "client": "Send a recording or the microphone to a server and print its events.",
    "wyoming": "Serve Wyoming clients, such as Home Assistant: speech to text, with the emotion of each "
    "utterance in the transcript's context.",
    "speakers": "List the speakers whose voices are enrolled, for [bold]--speaker NAME[/bold].",
    "devices": "List the microphones of this machine, for [bold]emostream live --microphone[/bold].",
    "doctor": "Check what emostream needs: packages, models, accelerator, microphone, port.",
    "bench": "Measure a server under a load of real speech.",
}
"""By name, with the first paragraph of its help. The module in `commands` has its name."""


class LazyCommand(TyperCommand):
    """A command before its module is imported: its name and the first paragraph of its help."""

    def load(self) -> Any:
        """The command, or the group of commands, as the parser takes it."""
        assert self.name is not None
        module = import_module(f"{__package__}.commands.{self.name}")
        group = getattr(module, "app", None)
        if group is None:
            function = getattr(module, self.name)
            group = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
            group.command(name=self.name, help=_reflowed(function.__doc__ or ""))(function)
        return typer.main.get_command(group)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Called before the command is run and before its own help is shown."""
        return self.load().make_context(*args, **options)


class CommandTable(TyperGroup):
    """The group of all of COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, summary in COMMANDS.items():
            self.add_command(LazyCommand(name, help=summary, rich_markup_mode="rich"))


def _reflowed(text: str) -> str:
    """A docstring with one line per paragraph: rich keeps line breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
