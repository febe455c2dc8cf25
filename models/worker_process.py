"""A worker process that answers requests over a pipe, for code that holds the GIL.

PocketSphinx's binding holds Python's global interpreter lock while it searches. In the server's process every
socket would wait as long, whatever thread it ran on; with a worker process the calling thread only waits for
a pipe (docs/adr/0006).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .errors import TranscriberError

_EXIT_TIMEOUT_S: Final = 0.2

NamedHandler = tuple[str, Callable[[Any], object]]
"""The display name, and the function that handles one request."""


class WorkerProcess:
    """A child process that answers requests one at a time. Call it from one thread.

    It exits when this object is collected or when the parent dies: its standard input is closed then.
    """

    def __init__(self, module: str, task: str) -> None:
        """Start `python -m module`, which must call `serve_requests`; it loads in the background.

        task: what it provides, for error messages: `words from PocketSphinx`. Raises TranscriberError where
        no process can be started.
        """
        self._module = module
        self._task = task
        self._name: str | None = None
        self._ready = False
        self._start()

    @property
    def name(self) -> str:
        """The display name; waits until the first process is ready. Raises TranscriberError if it fails."""
        if self._name is None:
            self._await_ready()
        assert self._name is not None
        return self._name

    def call(self, request: object) -> Any:
        """The reply to one request. An exception of the child is raised here.

        A process that died since the last request is replaced first. Raises TranscriberError where it dies
        during this one, or cannot be started; the next call starts a new one.
        """
        if not self.close.alive or self._process.poll() is not None:
            self.close()
            self._start()
        if not self._ready:
            self._await_ready()
        assert self._process.stdin is not None
        try:
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            reply = self._receive()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise TranscriberError(
                f"expected {self._task}, but its process ended; a new one serves the next call"
            ) from error
        except BaseException:
            # Ctrl-C, or a request that cannot be pickled: a late reply must not answer the next request.
            self.close()
            raise
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _start(self) -> None:
        self._process = self._open()
        self._ready = False
        self.close = weakref.finalize(self, _terminate, self._process)

    def _await_ready(self) -> None:
        failure = "expected PocketSphinx to start, but its process ended: reinstall pocketsphinx"
        if not self.close.alive:
            raise TranscriberError(failure)
        try:
            name = self._receive()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise TranscriberError(failure) from error
        except BaseException:
            self.close()  # a late name must not be taken for the first reply
            raise
        if isinstance(name, Exception):
            self.close()
            raise name
        self._name, self._ready = str(name), True

    def _open(self) -> subprocess.Popen[bytes]:
        try:
            # In a session of its own: Ctrl-C is for the parent to handle.
            return subprocess.Popen(
                # -P: files in the working directory cannot shadow our modules.
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise TranscriberError(
                f"expected to start a process for {self._task}, got: {error.strerror or error}; "
                "free some memory or end other programs"
            ) from error

    def _receive(self) -> Any:
        # Both ends are this module: only data pickled by our own child is unpickled.
        assert self._process.stdout is not None
        return pickle.load(self._process.stdout)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Close the input, then kill. The output is closed last: a thread that still reads it holds its lock."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def serve_requests(load: Callable[[], NamedHandler]) -> None:
    """Run in the child: send the name or an error first, then a reply or an exception for each request.

    load: imports and sets up the handler; may raise TranscriberError.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # other prints must not mix with the replies
    try:
        name, handle = load()
    except TranscriberError as error:
        _reply(replies, error)
        return
    _reply(replies, name)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent exited, perhaps in the middle of a request
            return
        try:
            reply = handle(request)
        except Exception as error:  # re-raised in the parent
            reply = error
        _reply(replies, reply)


def _reply(replies: Any, message: object) -> None:
    try:
        pickle.dump(message, replies)
        replies.flush()
    except BrokenPipeError:
        # The parent has exited, so that no process reads an error. A normal exit would print
        # one after another flush.
        os._exit(0)
