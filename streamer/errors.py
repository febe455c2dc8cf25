"""Everything that can go wrong between a sound and an event.

Each class has a stable `code` (for programs), a websocket `close_code` (for a socket that must end)
and a message for people: what was expected, what came, what to do.
"""

from __future__ import annotations

from typing import ClassVar


class EmostreamError(Exception):
    """Base of the tree. A command that ends with one exits with status 2."""

    code: ClassVar[str] = "internal"
    close_code: ClassVar[int] = 1011
    retry_after_ms: ClassVar[int | None] = None


class ConfigError(EmostreamError):
    """A setting is out of its range, or two settings contradict each other."""

    code = "bad_config"
    close_code = 4400


class SourceError(EmostreamError):
    """A recording or a device gives no (more) sound. What came before it has been analysed."""

    code = "bad_source"


class DeviceError(SourceError):
    """No such microphone, or no PortAudio to reach it with."""

    code = "bad_device"


class AnalysisError(EmostreamError):
    """The models failed on one utterance. The session goes on."""

    code = "analysis_failed"


class ListenError(EmostreamError):
    """The server cannot listen where it was told to."""

    code = "listen_error"


class ConnectError(EmostreamError):
    """The client cannot reach a server, or the server refused it."""

    code = "cannot_connect"


class ClusterError(EmostreamError):
    """There is no cluster, it does not run our models, or it was lost."""

    code = "no_cluster"


class ProtocolError(EmostreamError):
    """A message that the protocol does not know or allow. The session goes on."""

    code = "bad_message"
    close_code = 4400


class BadStartError(ProtocolError):
    """The first message is not a valid `start` or `subscribe`. The socket ends."""

    code = "bad_start"


class UnknownStreamError(BadStartError):
    """`subscribe` names a stream that this server does not have."""

    code = "unknown_stream"


class OriginNotAllowedError(EmostreamError):
    """A web page from elsewhere, or a host name that is not on the list."""

    code = "origin_not_allowed"
    close_code = 4403


class OverloadedError(EmostreamError):
    """There is no room for one more stream. Those inside are not disturbed."""

    code = "overloaded"
    close_code = 1013
    retry_after_ms = 5_000


class UnauthorizedError(EmostreamError):
    """No token, or none of this server."""

    code = "unauthorized"
    close_code = 4401


class TooManyAttemptsError(EmostreamError):
    """Many from one address wait behind a wrong token."""

    code = "too_many_attempts"
    close_code = 1013
    retry_after_ms = 5_000


class IdleTimeoutError(EmostreamError):
    """A client has sent nothing for long."""

    code = "idle_too_long"
    close_code = 4408


class SessionSupersededError(EmostreamError):
    """Another socket has taken the session over. The session goes on there."""

    code = "session_superseded"
    close_code = 4409


class SessionTooLongError(EmostreamError):
    """The session has lasted as long as the server allows."""

    code = "session_too_long"
    close_code = 4410


class SlowConsumerError(EmostreamError):
    """A watcher did not read its events in time. It may watch again."""

    code = "slow_consumer"
    close_code = 4413


class FlowControlError(EmostreamError):
    """A client sent audio past its credit."""

    code = "flow_control_exceeded"
    close_code = 4429


class MessageTooBigError(EmostreamError):
    """A message is longer than the limit that `ready` announces."""

    code = "message_too_big"
    close_code = 1009
