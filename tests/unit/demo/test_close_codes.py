"""The clients in JavaScript and in Python give up after the same close codes of this protocol."""

from __future__ import annotations

from emostream.streamer.protocol.close_codes import FATAL, CloseCode
from tests.support.node import evaluate, needs_node

# The codes of RFC 6455 that a browser never gets from this server, or after which it tries again.
ONLY_PYTHON = {
    CloseCode.NORMAL,
    CloseCode.PROTOCOL_ERROR,
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_DATA,
}


@needs_node
def test_the_fatal_close_codes_are_those_of_the_protocol() -> None:
    codes = evaluate("return [...(await load('backoff.js')).FATAL_CLOSE_CODES];")
    assert set(codes) == FATAL - ONLY_PYTHON
