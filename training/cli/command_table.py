"""The commands of `python -m emostream.training`, each imported, and torch with it, when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final = {
    "prepare": "Read a corpus, check and cache its audio, and report its contents.",
    "fit": "Train one model and write its checkpoint, for `emostream live --checkpoint` and all other "
    "commands.",
    "probe": "Logistic regression on pooled layers of the frozen encoder: the baseline that a head has to "
    "surpass.",
    "table": "Train and evaluate fold by fold, and write a report.",
    "train": "Run the recipe of models/bundled: distill both encoders, train heads and fusion, calibrate, "
    "evaluate.",
    "evaluate": "Evaluate a checkpoint on a manifest, through the recognizer that serves.",
    "export": "Write ONNX graphs beside the weights, with which a model runs faster on a CPU.",
}
"""By name, with the first paragraph of its help. The module has its name."""


class LazyCommand(TyperCommand):
    """A command before its module is imported: its name and the first paragraph of its help."""

    def load(self) -> Any:
        """The command, or the group of commands, as the parser takes it."""
        assert self.name is not None
        module = import_module(f"{__package__}.{self.name}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            group.command(name=self.name)(getattr(module, self.name))
        return typer.main.get_command(group)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Called before the command is run and before its own help is shown."""
        return self.load().make_context(*args, **options)


class CommandTable(TyperGroup):
    """The group of all of COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, summary in COMMANDS.items():
            self.add_command(LazyCommand(name, help=summary))
