"""Every websocket close code that a server or a client of this protocol uses."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    # RFC 6455, section 7.4.1.
    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013

    # This protocol's own; each is the HTTP status of the same meaning plus 4000, where there is one.
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    ORIGIN_NOT_ALLOWED = 4403
    IDLE_TOO_LONG = 4408
    SESSION_SUPERSEDED = 4409
    SESSION_TOO_LONG = 4410
    SLOW_CONSUMER = 4413
    FLOW_CONTROL_EXCEEDED = 4429


FATAL: Final = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_DATA,
        CloseCode.MESSAGE_TOO_BIG,
        CloseCode.BAD_REQUEST,
        CloseCode.UNAUTHORIZED,
        CloseCode.ORIGIN_NOT_ALLOWED,
        CloseCode.IDLE_TOO_LONG,
        CloseCode.SESSION_SUPERSEDED,
        CloseCode.SESSION_TOO_LONG,
        CloseCode.FLOW_CONTROL_EXCEEDED,
    }
)
"""Codes after which a client does not reconnect: the same messages would end the same way."""
