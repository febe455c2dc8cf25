"""The wire protocol: the examples of its document, encoding and decoding, error messages."""

from __future__ import annotations

import contextlib
import json
import re
from typing import get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emostream.streamer.errors import EmostreamError, ProtocolError
from emostream.streamer.protocol import messages
from emostream.streamer.protocol.asyncapi import asyncapi
from emostream.streamer.protocol.close_codes import FATAL, CloseCode
from emostream.streamer.protocol.error_codes import NEVER_SENT, ErrorCode
from emostream.streamer.protocol.schema import schema
from tests.support.protocol_document import DOCUMENT, EXAMPLES
from tests.support.shared import REPO


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_document_is_valid(example: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(example))
    kind = json.loads(example)["type"]
    read = (
        messages.decode_client_message
        if kind in ("start", "subscribe", "gap", "flush", "stop")
        else messages.decode_server_message
    )
    assert json.loads(messages.encode(read(example)))["type"] == kind


def test_every_message_has_an_example() -> None:
    shown = {json.loads(example)["type"] for example in EXAMPLES}
    tags = {
        about["properties"]["type"]["const"]
        for about in schema()["$defs"].values()
        if "type" in about.get("properties", {})
    }
    assert shown == tags


def test_every_code_is_in_the_document() -> None:
    """Of the errors that can reach a client: one that has been published stays."""
    published = set(re.findall(r"`([a-z_]+)`", DOCUMENT.partition("## Error codes and close codes")[2]))
    of_recordings = {ErrorCode.BAD_SOURCE, ErrorCode.BAD_DEVICE}
    never_sent = NEVER_SENT | of_recordings | {ErrorCode.MESSAGE_TOO_BIG}  # only a close code reports it
    assert set(ErrorCode) - never_sent <= published
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", DOCUMENT, re.MULTILINE)}
    of_libraries = {CloseCode.PROTOCOL_ERROR, CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_DATA}
    assert set(CloseCode) - of_libraries == documented


def test_every_error_has_a_code_of_its_own() -> None:
    """A subclass may share the code of its base, and no other class."""
    owners: dict[str, type[EmostreamError]] = {}
    for error in sorted(_tree(EmostreamError), key=lambda error: len(error.__mro__)):
        owner = owners.setdefault(error.code, error)
        assert issubclass(error, owner), (error, owner)


def test_the_page_does_not_reconnect_after_the_same_close_codes() -> None:
    page = (REPO / "demo" / "backoff.js").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"\b(1\d{3}|4\d{3})\b", page)}
    # A browser handles the rest itself, or ends normally.
    assert codes == {code for code in FATAL if code >= 4000} | {CloseCode.MESSAGE_TOO_BIG}


def _tree(one: type[EmostreamError]) -> set[type[EmostreamError]]:
    return {one}.union(*(_tree(child) for child in one.__subclasses__()))


def test_the_asyncapi_document_is_that_of_the_types() -> None:
    written = json.loads((REPO / "docs" / "asyncapi.json").read_text(encoding="utf-8"))
    assert written == asyncapi(), (
        "regenerate it: python -m emostream.streamer.protocol.asyncapi > docs/asyncapi.json"
    )


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()

    def follow(part: object) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "$ref":
                    target = document
                    for step in value.removeprefix("#/").split("/"):
                        target = target[step]
                follow(value)
        elif isinstance(part, list):
            for item in part:
                follow(item)

    follow(document)
    assert "#/$defs" not in json.dumps(document)


def test_the_asyncapi_document_has_every_message() -> None:
    document = asyncapi()
    operations = {
        side: {ref["$ref"].rpartition("/")[2] for ref in document["operations"][side]["messages"]}
        for side in ("receive", "send")
    }
    assert operations["receive"] == {message.__name__ for message in get_args(messages.ClientMessage)} | {
        "Audio"
    }
    assert operations["send"] == {message.__name__ for message in get_args(messages.ServerMessage)}


@pytest.mark.parametrize("name", sorted(schema()["$defs"]))
def test_every_message_and_field_is_in_the_document(name: str) -> None:
    definition = schema()["$defs"][name]
    for field, about in definition.get("properties", {}).items():
        words = about.get("enum", [field]) if field == "type" else [field]
        for word in words:
            assert re.search(rf"\b{word}\b", DOCUMENT), f"{name}.{field} ({word})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got other text"),
        ("[]", "got other text"),
        ('{"type": 3}', "expected a type out of start, subscribe, gap, flush, stop, got 3"),
        ('{"kind": "start"}', "got None"),
        ('{"type": "start"}', "expected a valid start message"),
        ('{"type": "flush", "at_samples": "x"}', r"\$\.at_samples"),
        ('{"type": "ready"}', "got 'ready'"),
    ],
)
def test_mistakes_are_described(text: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        messages.decode_client_message(text)


@settings(max_examples=30)
@given(st.one_of(st.text(), st.binary()))
def test_anything_is_a_message_or_a_protocol_error(text: str | bytes) -> None:
    for decode in (messages.decode_client_message, messages.decode_server_message):
        with contextlib.suppress(ProtocolError):
            decode(text)


def test_numbering_leaves_the_rest() -> None:
    event = messages.Dropped(ms=5, reason="x")
    assert messages.with_seq(event, 7) == messages.Dropped(ms=5, reason="x", seq=7)
