"""The wire: what the document shows can be read, what is read can be written, mistakes are named."""

from __future__ import annotations

import contextlib
import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emostream.streamer import events
from emostream.streamer.errors import ProtocolError

from .shared import REPO

DOCUMENT = (REPO / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_document_is_valid(example: str) -> None:
    jsonschema.Draft202012Validator(events.schema()).validate(json.loads(example))
    kind = json.loads(example)["type"]
    read = (
        events.decode_client if kind in ("start", "watch", "gap", "flush", "stop") else events.decode_server
    )
    assert json.loads(events.encode(read(example)))["type"] == kind


def test_the_document_has_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("name", sorted(events.schema()["$defs"]))
def test_every_message_and_field_is_in_the_document(name: str) -> None:
    definition = events.schema()["$defs"][name]
    for field, about in definition.get("properties", {}).items():
        words = about.get("enum", [field]) if field == "type" else [field]
        for word in words:
            assert re.search(rf"\b{word}\b", DOCUMENT), f"{name}.{field} ({word})"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "none"),
        ("[]", "none"),
        ('{"type": 3}', "expected a type out of start, watch, gap, flush, stop, got 3"),
        ('{"kind": "start"}', "got None"),
        ('{"type": "start"}', "expected a valid start message"),
        ('{"type": "flush", "at_samples": "x"}', r"\$\.at_samples"),
        ('{"type": "ready"}', "got 'ready'"),
    ],
)
def test_mistakes_are_named(text: str, told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        events.decode_client(text)


@given(st.one_of(st.text(), st.binary()))
def test_anything_is_a_message_or_a_protocol_error(text: str | bytes) -> None:
    for decode in (events.decode_client, events.decode_server):
        with contextlib.suppress(ProtocolError):
            decode(text)


def test_numbering_leaves_the_rest() -> None:
    event = events.Dropped(ms=5, why="x")
    assert events.numbered(event, 7) == events.Dropped(ms=5, why="x", seq=7)
