"""PocketSphinx in a process of its own.

Its binding holds Python's global lock while it searches: 2.4 s in one piece for an utterance of 11 s. In the
server's process every socket would wait as long, whatever thread it ran on. So a child decodes, and the
thread that asks it only waits for a pipe (docs/adr/0006).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from .errors import TranscriberError
from .types import Clip, Transcript

_GOODBYE_S: Final = 0.2


class SphinxProcess:
    """`SphinxTranscriber` behind a pipe: same words, called from one thread.

    The child ends when this object goes, or when the parent dies: its input is closed then.
    """

    def __init__(self) -> None:
        """Start the child and wait until its model is loaded. Raises TranscriberError."""
        self._child = _Child()
        self._name = self._child.hello()

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return 1  # it decodes one after the other: in a batch the first would wait for the last

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """Raises TranscriberError where the child has died; the next call finds a new one."""
        try:
            return self._child.ask(list(clips))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self._child.end()
            self._child = _Child()
            self._child.hello()
            raise TranscriberError(
                "expected words from PocketSphinx, but its process ended; a new one has been started"
            ) from error


class _Child:
    def __init__(self) -> None:
        # Not in the terminal's process group: Ctrl-C is the parent's to answer.
        self._process = subprocess.Popen(
            # -P: a file of the user's that is called like a module of ours is not imported.
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.end = weakref.finalize(self, _end, self._process)

    def hello(self) -> str:
        try:
            reply = self._receive()
        except EOFError as error:
            raise TranscriberError(
                "expected PocketSphinx to start, but its process ended: reinstall pocketsphinx"
            ) from error
        if isinstance(reply, TranscriberError):
            raise reply
        return str(reply)

    def ask(self, clips: list[Clip]) -> list[Transcript]:
        assert self._process.stdin is not None
        pickle.dump(clips, self._process.stdin)
        self._process.stdin.flush()
        reply = self._receive()
        if isinstance(reply, Exception):
            raise reply
        transcripts: list[Transcript] = reply
        return transcripts

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


def _serve() -> None:
    """The child: a name or an error first, then transcripts or an exception for each list of clips."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no reply
    try:
        from .sphinx import SphinxTranscriber

        transcriber = SphinxTranscriber()
    except TranscriberError as error:
        _reply(replies, error)
        return
    _reply(replies, transcriber.name)
    while True:
        try:
            clips = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: object = transcriber.transcribe(clips)
        except Exception as error:  # it is the parent's to judge
            answer = error
        _reply(replies, answer)


def _reply(replies: Any, answer: object) -> None:
    try:
        pickle.dump(answer, replies)
        replies.flush()
    except BrokenPipeError:
        # The parent has gone, and with it everybody who could be told. Not by way of Python's ending: it
        # would try to flush again, and say so.
        os._exit(0)


if __name__ == "__main__":
    _serve()
