"""The memory that ONNX Runtime keeps between runs, in an arena for each session."""

from __future__ import annotations

from typing import Any, Final

_LONG_S: Final = 8.0
"""Most utterances are shorter; after one of 30 s the sessions would keep 110 MB for as long as the process
runs."""


def run_options(seconds: float) -> Any:
    """For a run over so much sound: the memory that a long one took is given back to the system after it, and
    the next run takes it again. None for a short one.
    """
    if seconds < _LONG_S:
        return None
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
