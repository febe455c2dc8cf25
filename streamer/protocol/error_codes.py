"""Every stable error code: for programs, in an `error` event, a result file or a command's output."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    # Of a session, which goes on.
    ANALYSIS_FAILED = "analysis_failed"
    TRANSCRIPTION_FAILED = "transcription_failed"
    INVALID_SAMPLES = "invalid_samples"
    NO_AUDIO = "no_audio"
    BAD_MESSAGE = "bad_message"
    UNUSUAL_RECORDING = "unusual_recording"
    SILENT_TRACK = "silent_track"
    CHANNELS_CANCEL = "channels_cancel"

    # Of a connection, which ends; each has a close code, see `close_codes`.
    INTERNAL = "internal"
    BAD_START = "bad_start"
    UNKNOWN_STREAM = "unknown_stream"
    UNAUTHORIZED = "unauthorized"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    OVERLOADED = "overloaded"
    MESSAGE_TOO_BIG = "message_too_big"
    NOT_PCM = "not_pcm"
    IDLE_TOO_LONG = "idle_too_long"
    SESSION_SUPERSEDED = "session_superseded"
    SESSION_TOO_LONG = "session_too_long"
    SLOW_CONSUMER = "slow_consumer"
    FLOW_CONTROL_EXCEEDED = "flow_control_exceeded"

    # Of a source, which ends early.
    BAD_SOURCE = "bad_source"
    BAD_DEVICE = "bad_device"

    # Of commands and batch jobs; never sent to a client.
    BAD_CONFIG = "bad_config"
    CANNOT_LISTEN = "cannot_listen"
    CANNOT_CONNECT = "cannot_connect"
    NO_CLUSTER = "no_cluster"
    WORKER_DIED = "worker_died"


OF_A_RECORDING = frozenset({ErrorCode.UNUSUAL_RECORDING, ErrorCode.SILENT_TRACK, ErrorCode.CHANNELS_CANCEL})
"""Something is unusual about a recording, of which all that there is was heard."""

NEVER_SENT = frozenset(
    {
        ErrorCode.BAD_CONFIG,
        ErrorCode.CANNOT_LISTEN,
        ErrorCode.CANNOT_CONNECT,
        ErrorCode.NO_CLUSTER,
        ErrorCode.WORKER_DIED,
    }
)
"""Codes that no client of a server can get."""
