"""What makes a stream's audio doubtful, though it is analysed: each is reported once."""

from __future__ import annotations

from ..audio.channels import ChannelFrontends
from ..protocol.error_codes import ErrorCode


class AudioDoubts:
    def __init__(self) -> None:
        self._reported: set[ErrorCode] = set()

    def found(self, frontends: ChannelFrontends, *, ended: bool) -> list[tuple[ErrorCode, str]]:
        """Codes and messages of what has not been reported. ended: whether no audio follows."""
        doubts = {
            ErrorCode.INVALID_SAMPLES: _invalid(frontends),
            ErrorCode.CHANNELS_CANCEL: _cancelling(frontends),
            ErrorCode.SILENT_TRACK: _silent(frontends) if ended else None,
        }
        new = [(code, text) for code, text in doubts.items() if text and code not in self._reported]
        self._reported.update(code for code, _ in new)
        return new


def _invalid(frontends: ChannelFrontends) -> str | None:
    if not frontends.invalid_samples:
        return None
    return "expected finite samples, got NaN or infinity; they count as silence, correct the sender"


def _cancelling(frontends: ChannelFrontends) -> str | None:
    if (channel := frontends.heard_alone) is None:
        return None
    return (
        "expected channels that can be mixed, got some that cancel each other: there the louder one, "
        f"channel {channel}, is heard alone; choose one, or split them, if that is wrong"
    )


def _silent(frontends: ChannelFrontends) -> str | None:
    if (found := frontends.silent_beside()) is None:
        return None
    silent, loud = found
    return (
        f"expected sound on channel {silent}, got silence; channel {loud} has sound, choose that one, "
        "mix or split"
    )
