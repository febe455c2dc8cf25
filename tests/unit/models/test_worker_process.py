"""A child process behind a pipe: every request gets its own reply or an error."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emostream.models import TranscriberError
from emostream.models.worker_process import WorkerProcess

ECHO = """
import os
from emostream.models.worker_process import serve_requests

def answer(request):
    if request == "die":
        os._exit(1)
    if request == "fail":
        raise ValueError("no")
    return request

serve_requests(lambda: ("echo", answer))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerProcess]:
    (tmp_path / "echoing_worker.py").write_text(ECHO, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = WorkerProcess("echoing_worker", "an echo")
    yield child
    child.close()


SLOW = """
import sys
import time
from pathlib import Path
from emostream.models.worker_process import serve_requests

def load():
    while not Path(sys.argv[0]).with_suffix(".go").exists():
        time.sleep(0.001)
    return "slow", lambda request: request

serve_requests(load)
"""


def test_the_child_loads_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the start waited for the child, this test would not end."""
    (tmp_path / "slow_worker.py").write_text(SLOW, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made: list[WorkerProcess] = []
    making = threading.Thread(
        target=lambda: made.append(WorkerProcess("slow_worker", "an echo")), daemon=True
    )
    making.start()
    making.join(60)
    (tmp_path / "slow_worker.go").touch()
    (child,) = made
    try:
        assert child.name == "slow"
    finally:
        child.close()


def test_the_name_is_cached_and_a_failed_start_is_reported_again(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert child.name == "echo"
    child.close()
    monkeypatch.setattr(child, "_module", "emostream.models.types")  # which sends nothing and ends
    with pytest.raises(TranscriberError, match="its process ended"):
        child.call("anybody?")
    assert child.name == "echo"
    never = WorkerProcess("emostream.models.types", "nothing")
    for _ in range(2):
        with pytest.raises(TranscriberError, match="its process ended: reinstall pocketsphinx"):
            _ = never.name


def interrupt_once(monkeypatch: pytest.MonkeyPatch, child: WorkerProcess) -> None:
    """Ctrl-C while the next reply is waited for."""
    receive: Callable[[], Any] = child._receive

    def interrupted() -> Any:
        monkeypatch.setattr(child, "_receive", receive)
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "_receive", interrupted)


def test_requests_are_answered_in_order(child: WorkerProcess) -> None:
    assert [child.call(number) for number in range(3)] == [0, 1, 2]
    assert child.name == "echo"


def test_an_interrupted_request_is_not_answered_later(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_once(monkeypatch, child)
    with pytest.raises(KeyboardInterrupt):
        child.call("first")
    assert child.call("second") == "second"


def test_the_ready_message_after_an_interrupt_is_no_reply(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    child.close()
    interrupt_once(monkeypatch, child)
    with pytest.raises(KeyboardInterrupt):
        child.call("first")
    assert child.call("second") == "second"


def test_a_request_that_cannot_be_pickled_does_not_affect_the_next(
    child: WorkerProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pickling fails half way; the bytes sent until then do not corrupt the next request."""
    with pytest.raises(TypeError, match="pickle"):
        child.call([b"x" * 200_000, threading.Lock()])
    word = "twice"  # the second mention refers to the first by its number in the stream
    assert child.call([word, word]) == [word, word]
    assert "Traceback" not in capfd.readouterr().err


def test_an_exception_in_the_child_is_raised_in_the_parent(child: WorkerProcess) -> None:
    process = child._process
    with pytest.raises(ValueError, match="no"):
        child.call("fail")
    assert child.call("next") == "next"
    assert child._process is process


def test_a_crash_during_a_request_fails_that_request_only(child: WorkerProcess) -> None:
    with pytest.raises(TranscriberError, match="expected an echo, but its process ended"):
        child.call("die")
    assert child.call("next") == "next"


def test_a_crash_between_requests_fails_none(child: WorkerProcess) -> None:
    child._process.kill()
    child._process.wait()
    assert child.call("next") == "next"


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM])
def test_a_process_that_cannot_be_started_is_reported_in_one_line(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "no room")

    child.close()
    with monkeypatch.context() as full:
        full.setattr("subprocess.Popen", refuse)
        with pytest.raises(
            TranscriberError, match="expected to start a process for an echo, got: no room; free"
        ):
            child.call("first")
    assert child.call("second") == "second"
