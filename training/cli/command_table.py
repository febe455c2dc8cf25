"""The commands of `python -m emostream.training`, each imported when it is called, and torch when it runs."""

from __future__ import annotations

from typing import Any, Final

from emostream.lazy_commands import LazyGroup

COMMANDS: Final = {
    "prepare": "Read a corpus, check and cache its audio, and report its contents.",
    "fit": "Train one model and write its checkpoint, for `emostream live --checkpoint` and all other "
    "commands.",
    "probe": "Logistic regression on pooled layers of the frozen encoder: the baseline that a head has to "
    "surpass.",
    "table": "Train and evaluate fold by fold, and write a report.",
    "train": "Train a classifier on frozen encoders and many corpora: the recipe of both bundled models.",
    "distill": "Distill both encoders of models/bundled from larger models; train --encoders builds on them.",
    "evaluate": "Evaluate a checkpoint on a manifest, through the recognizer that serves.",
    "export": "Write ONNX graphs beside the weights, with which a model runs faster on a CPU.",
}
"""By name, with the first paragraph of its help. The module has its name."""


class CommandTable(LazyGroup):
    """The group of all of COMMANDS."""

    def __init__(self, **options: Any) -> None:
        super().__init__(COMMANDS, __package__, **options)
