"""Errors of `models`. A message states what was expected, what came instead and what to do."""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors of `models`. `code` is stable, for programs; the message is for people."""

    code = "model_error"


class CheckpointError(ModelError):
    """A checkpoint folder is missing, damaged or belongs to another program."""

    code = "checkpoint_error"


class TranscriberError(ModelError):
    """A transcriber is not available: unknown name, failed download, damaged folder."""

    code = "transcriber_error"


class DeviceError(ModelError):
    """The requested device is unknown or not available."""

    code = "device_error"


class VoiceActivityError(ModelError):
    """The network that tells speech from other sounds is not available."""

    code = "voice_activity_error"


def one_line(error: BaseException) -> str:
    """Another library's error text for the middle of a message: no line breaks, at most 200 characters."""
    return " ".join(str(error).split())[:200]
