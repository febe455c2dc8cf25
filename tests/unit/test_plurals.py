"""Counted things in messages: `1 utterance`, never `1 utterances`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from emostream.streamer.plurals import counted
from tests.support.shared import REPO

NOUNS = re.compile(
    r" (?!with |whose )(?:[a-z-]+ )?"
    r"((?:recording|utterance|file|clip|stream|channel|speaker|worker|node|error|gap|transition|call|run|core|"
    r"thread|time|packet|track|result|connection|second|text|replica|window)s)\b"
)
# Where the number is never one: a branch or a constant says so.
MANY = {
    ("streamer/audio/channels.py", "channels"),  # `one channel` in the same line; MAX_SPLIT
    ("streamer/audio/samples.py", "channels"),  # MAX_CHANNELS
    ("streamer/audio/track.py", "tracks"),  # `one sound track` in the same line
    ("streamer/inference/admission.py", "channels"),  # `one more stream` in the same line
    (
        "streamer/inference/batcher.py",
        "results",
    ),  # a defect of a model
    ("streamer/cluster/serving/remote_engine.py", "replicas"),  # ATTEMPTS
    ("streamer/cli/bench.py", "cores"),  # a decimal
    ("streamer/cli/enroll.py", "seconds"),  # a constant
}


@pytest.mark.parametrize(("number", "shown"), [(0, "0 utterances"), (1, "1 utterance"), (2, "2 utterances")])
def test_one_is_singular(number: int, shown: str) -> None:
    assert counted(number, "utterance") == shown


def uncounted(path: Path) -> set[str]:
    """The plural nouns that follow a number in the f-strings of a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                found |= {match[1] for match in [NOUNS.match(str(text.value))] if match is not None}
    return found


def test_messages_of_the_streamer_count_what_they_name() -> None:
    """A number and a plural noun stand together only where `counted` has made them."""
    found = {
        (path.relative_to(REPO).as_posix(), noun)
        for path in (REPO / "streamer").rglob("*.py")
        for noun in uncounted(path)
    }
    assert found <= MANY, found - MANY
    assert found >= {("streamer/audio/samples.py", "channels")}  # the search finds what there is
