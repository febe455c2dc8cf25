"""Errors of a server that has no files left for connections."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

import pytest

from emostream.streamer.server.incoming import report_accept_errors


@pytest.fixture
def loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.close()  # only its handler is wanted
    return loop


def test_without_files_for_a_connection_there_is_a_line_and_no_traceback(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    report_accept_errors(loop)
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": error})
    (record,) = caplog.records
    assert record.getMessage() == f"connections wait: {error.strerror}; lower server.connections"
    assert record.exc_info is None


def test_other_errors_are_handled_as_before(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    report_accept_errors(loop)
    loop.call_exception_handler({"message": "x", "exception": ValueError()})
    assert [context["message"] for context in seen] == ["x"]
    assert caplog.records == []
