"""A decoder in a process of its own, behind a pipe.

PocketSphinx's binding holds Python's global lock while it searches. In the server's process every socket
would wait as long, whatever thread it ran on; a child leaves the thread that asks waiting for a pipe only
(docs/adr/0006).
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

_GOODBYE_S: Final = 0.2

NamedHandler = tuple[str, Callable[[Any], object]]
"""The name that people are shown, and what answers one request."""


class WorkerProcess:
    """A child that answers requests one after the other, called from one thread.

    It ends when this object goes, or when the parent dies: its input is closed then.
    """

    def __init__(self, module: str, task: str) -> None:
        """Start `python -m module`, which must call `serve_requests`. It loads meanwhile.

        task: what is expected of it, for messages: `words from PocketSphinx`. Raises TranscriberError where
        no process can be started.
        """
        self._module = module
        self._task = task
        self._name: str | None = None
        self._greeted = False
        self._start()

    @property
    def name(self) -> str:
        """Waits until the first child is ready. Raises TranscriberError where it cannot be."""
        if self._name is None:
            self._greet()
        assert self._name is not None
        return self._name

    def call(self, request: object) -> Any:
        """The answer to one request. An exception of the child's is raised here.

        A child that died since the last request is replaced first. Raises TranscriberError where it dies at
        this one, or cannot be started; the next call starts a new one.
        """
        if not self.close.alive or self._process.poll() is not None:
            self.close()
            self._start()
        if not self._greeted:
            self._greet()
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
            # Ctrl-C, or a request that cannot be sent: what is left in the pipe is nobody's answer.
            self.close()
            raise
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _start(self) -> None:
        self._process = self._open()
        self._greeted = False
        self.close = weakref.finalize(self, _end, self._process)

    def _greet(self) -> None:
        failure = "expected PocketSphinx to start, but its process ended: reinstall pocketsphinx"
        if not self.close.alive:
            raise TranscriberError(failure)
        try:
            greeting = self._receive()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise TranscriberError(failure) from error
        except BaseException:
            self.close()  # a greeting that comes later would be the first answer
            raise
        if isinstance(greeting, Exception):
            self.close()
            raise greeting
        self._name, self._greeted = str(greeting), True

    def _open(self) -> subprocess.Popen[bytes]:
        try:
            # Not in the terminal's process group: Ctrl-C is the parent's to answer.
            return subprocess.Popen(
                # -P: a file of the user's that is called like a module of ours is not imported.
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
        # Both ends are this module: what is unpickled was pickled by our own child.
        assert self._process.stdout is not None
        return pickle.load(self._process.stdout)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then kill. The output is closed last: a thread that still reads from it holds its lock."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_GOODBYE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def serve_requests(load: Callable[[], NamedHandler]) -> None:
    """The child: its name or an error first, then an answer or an exception for each request.

    load: imports and sets up what does the work; may raise TranscriberError.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no reply
    try:
        name, answer = load()
    except TranscriberError as error:
        _reply(replies, error)
        return
    _reply(replies, name)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent has gone, perhaps in the middle of a request
            return
        try:
            reply = answer(request)
        except Exception as error:  # it is the parent's to judge
            reply = error
        _reply(replies, reply)


def _reply(replies: Any, answer: object) -> None:
    try:
        pickle.dump(answer, replies)
        replies.flush()
    except BrokenPipeError:
        # The parent has gone, and with it everybody who could be told. Not by way of Python's ending: it
        # would try to flush again, and say so.
        os._exit(0)
