"""Batches made ahead of the step that needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def made_ahead(make: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R]:
    """`make` of every item, in order, by so many threads; 0: by the caller, each when it is needed.

    At most one result more than there are threads is made or waits. Threads and not processes: numpy,
    soxr, FFmpeg and the tokenizer release the interpreter's lock, nothing is copied between processes, and
    nothing is forked beside a GPU. An error of `make` is raised in place of its result.
    """
    if not workers:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(make, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for result in pending:
                result.cancel()
