"""Commands of a program, each imported when it is called: `--help` of one waits for no other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(TyperCommand):
    """A command before its module is imported: its name and the first paragraph of its help.

    package: of its module, which has its name and holds `app`, a group, or a function of that name.
    """

    def __init__(self, name: str, summary: str, package: str) -> None:
        super().__init__(name, help=summary, rich_markup_mode="rich")
        self._package = package

    def load(self) -> Any:
        """The command, or the group of commands, as the parser takes it."""
        assert self.name is not None
        module = import_module(f"{self._package}.{self.name}")
        group = getattr(module, "app", None)
        if group is None:
            function = getattr(module, self.name)
            group = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
            group.command(name=self.name, help=_reflowed(function.__doc__ or ""))(function)
        return typer.main.get_command(group)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Called before the command is run and before its own help is shown."""
        return self.load().make_context(*args, **options)


class LazyGroup(TyperGroup):
    """The group of all commands of a table."""

    def __init__(self, summaries: Mapping[str, str], package: str, **options: Any) -> None:
        """summaries: by name, the first paragraph of the help. package: that of their modules."""
        super().__init__(**options)
        for name, summary in summaries.items():
            self.add_command(LazyCommand(name, summary, package))


def _reflowed(text: str) -> str:
    """A docstring with one line per paragraph: rich keeps line breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
