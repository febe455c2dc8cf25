"""What can go wrong in `models`: message = what was expected, what came, what to do."""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors of `models`. `code` is stable; people read the message."""

    code = "model_error"


class CheckpointError(ModelError):
    """A checkpoint folder is missing, damaged or not of this program."""

    code = "checkpoint_error"


class TranscriberError(ModelError):
    """A transcriber cannot be had: unknown name, not downloadable, damaged folder."""

    code = "transcriber_error"


class DeviceError(ModelError):
    """The device asked for is not there."""

    code = "device_error"


def one_line(error: BaseException) -> str:
    """What another library says, for the middle of a message of ours: no line breaks, 200 characters."""
    return " ".join(str(error).split())[:200]
