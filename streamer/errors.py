"""The exceptions of this package, one tree.

Each class has a stable `code` (for programs), a websocket `close_code` (for a connection that must end) and
a message for people: what was expected, what came, what to do.
"""

from __future__ import annotations

from typing import ClassVar

from .protocol.close_codes import CloseCode
from .protocol.error_codes import ErrorCode


class EmostreamError(Exception):
    """Base of the tree. A command that ends with one exits with status 2."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    close_code: ClassVar[CloseCode] = CloseCode.INTERNAL_ERROR
    retry_after_ms: ClassVar[int | None] = None


class ConfigError(EmostreamError):
    """A setting is out of its range, or two settings contradict each other."""

    code = ErrorCode.BAD_CONFIG
    close_code = CloseCode.BAD_REQUEST


class SourceError(EmostreamError):
    """A recording or a device gives no (more) audio. What came before has been analysed."""

    code = ErrorCode.BAD_SOURCE


class DeviceError(SourceError):
    """No such microphone, or no PortAudio to open it with."""

    code = ErrorCode.BAD_DEVICE


class AnalysisError(EmostreamError):
    """The models failed on one utterance. The session goes on."""

    code = ErrorCode.ANALYSIS_FAILED


class ListenError(EmostreamError):
    """The server cannot listen on the address and port of its settings."""

    code = ErrorCode.CANNOT_LISTEN


class ConnectError(EmostreamError):
    """The client cannot reach a server, or the server rejected it."""

    code = ErrorCode.CANNOT_CONNECT


class ClusterError(EmostreamError):
    """There is no cluster, it does not run these models, or it was lost."""

    code = ErrorCode.NO_CLUSTER


class ProtocolError(EmostreamError):
    """A message that the protocol does not define or allow. The session goes on."""

    code = ErrorCode.BAD_MESSAGE
    close_code = CloseCode.BAD_REQUEST


class BadStartError(ProtocolError):
    """The first message is not a valid `start` or `subscribe`. The connection ends."""

    code = ErrorCode.BAD_START


class UnknownStreamError(BadStartError):
    """`subscribe` names a stream that this server does not have."""

    code = ErrorCode.UNKNOWN_STREAM


class OriginNotAllowedError(EmostreamError):
    """A web page of another origin, or a host name, that is not on the list."""

    code = ErrorCode.ORIGIN_NOT_ALLOWED
    close_code = CloseCode.ORIGIN_NOT_ALLOWED


class OverloadedError(EmostreamError):
    """The models have no capacity for one more stream. Active streams go on undisturbed."""

    code = ErrorCode.OVERLOADED
    close_code = CloseCode.TRY_AGAIN_LATER
    retry_after_ms = 5_000


class UnauthorizedError(EmostreamError):
    """No token, or not one of this server's."""

    code = ErrorCode.UNAUTHORIZED
    close_code = CloseCode.UNAUTHORIZED


class TooManyAttemptsError(EmostreamError):
    """Many connections from one address wait after a wrong token."""

    code = ErrorCode.TOO_MANY_ATTEMPTS
    close_code = CloseCode.TRY_AGAIN_LATER
    retry_after_ms = 5_000


class IdleTimeoutError(EmostreamError):
    """A client has sent nothing for as long as the server allows."""

    code = ErrorCode.IDLE_TOO_LONG
    close_code = CloseCode.IDLE_TOO_LONG


class SessionSupersededError(EmostreamError):
    """Another connection has resumed the session, which goes on there."""

    code = ErrorCode.SESSION_SUPERSEDED
    close_code = CloseCode.SESSION_SUPERSEDED


class SessionTooLongError(EmostreamError):
    """The session has lasted as long as the server allows."""

    code = ErrorCode.SESSION_TOO_LONG
    close_code = CloseCode.SESSION_TOO_LONG


class SlowConsumerError(EmostreamError):
    """A subscriber did not read its events in time. It may subscribe again."""

    code = ErrorCode.SLOW_CONSUMER
    close_code = CloseCode.SLOW_CONSUMER


class FlowControlError(EmostreamError):
    """A client sent more unacknowledged audio than it may."""

    code = ErrorCode.FLOW_CONTROL_EXCEEDED
    close_code = CloseCode.FLOW_CONTROL_EXCEEDED


class NotPcmError(EmostreamError):
    """A client sends a file, or text, instead of samples."""

    code = ErrorCode.NOT_PCM
    close_code = CloseCode.BAD_REQUEST


class MessageTooBigError(EmostreamError):
    """A message is longer than the limit that `ready` announces."""

    code = ErrorCode.MESSAGE_TOO_BIG
    close_code = CloseCode.MESSAGE_TOO_BIG
