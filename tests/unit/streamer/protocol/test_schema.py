"""The JSON Schema: its ranges are those of the server, and a generator of types finds a name for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest

from emostream.streamer.config import SegmenterSettings
from emostream.streamer.errors import BadStartError, ConfigError, ProtocolError
from emostream.streamer.protocol import messages
from emostream.streamer.protocol.schema import schema
from emostream.streamer.server.session_factory import segmenter_settings
from emostream.streamer.server.websocket_source import WebSocketSource, validate_start

START: dict[str, Any] = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
VALIDATOR = jsonschema.Draft202012Validator(schema())


def server_takes(message: dict[str, Any]) -> bool:
    try:
        match messages.decode_client_message(json.dumps(message)):
            case messages.Start() as start:
                validate_start(start, start.options.channels or "mix")
                segmenter_settings(SegmenterSettings(), start.options)
            case (messages.Gap() | messages.Flush() | messages.Stop()) as control:
                source = WebSocketSource(msgspec.convert(START, messages.Start), 5_000, lambda samples: None)
                source.handle(control)
    except (BadStartError, ConfigError, ProtocolError):
        return False
    return True


@pytest.mark.parametrize(
    ("message", "field", "least", "most"),
    [
        (START, "sample_rate", *messages.SAMPLE_RATES_HZ),
        (START, "channels", *messages.CHANNELS),
        (START, "options.min_silence_ms", 200, 5_000),
        (START, "options.max_utterance_ms", 2_000, 28_000),
        ({"type": "gap"}, "ms", 1, messages.MAX_GAP_MS),
        ({"type": "flush"}, "at_samples", 0, None),
        ({"type": "stop"}, "at_samples", 0, None),
    ],
)
def test_ranges_are_those_of_the_server(
    message: dict[str, Any], field: str, least: int, most: int | None
) -> None:
    """Both, at the edges and one beyond."""
    edges = {least: True, least - 1: False} | ({} if most is None else {most: True, most + 1: False})
    for value, valid in edges.items():
        section, _, name = field.rpartition(".")
        # The longest pause needs an utterance that is twice as long.
        options = {"max_utterance_ms": 28_000} if name == "min_silence_ms" else {}
        changed = message | ({section: options | {name: value}} if section else {name: value})
        assert VALIDATOR.is_valid(changed) == valid, (field, value)
        assert server_takes(changed) == valid, (field, value)


def test_languages_are_two_to_35_characters() -> None:
    for length, valid in ((1, False), (2, True), (35, True), (36, False)):
        message = START | {"language": "x" * length}
        assert (VALIDATOR.is_valid(message), server_takes(message)) == (valid, valid)


def test_probabilities_are_at_most_one() -> None:
    emotion = schema()["$defs"]["Emotion"]["properties"]
    assert (emotion["confidence"]["minimum"], emotion["confidence"]["maximum"]) == (0, 1)
    assert emotion["probabilities"]["additionalProperties"]["maximum"] == 1


def parts(of: Any) -> Iterator[dict[str, Any]]:
    if isinstance(of, dict):
        yield of
        for value in of.values():
            yield from parts(value)
    elif isinstance(of, list):
        for value in of:
            yield from parts(value)


def test_every_object_and_every_choice_has_a_name() -> None:
    """So that generated types are called `EmotionReason` and not `Reason2`."""
    definitions = schema()["$defs"]
    for name, definition in definitions.items():
        assert definition.get("title", name) == name
        inner = [part for part in parts(definition) if part is not definition]
        assert not [part for part in inner if "enum" in part or "properties" in part], name
    assert {"StartEncoding", "EmotionReason", "NoEmotionReason", "ClosedReason"} <= definitions.keys()


def test_the_type_of_a_message_is_a_constant() -> None:
    definitions = schema()["$defs"]
    for side in ("ClientMessage", "ServerMessage"):
        for member in definitions[side]["oneOf"]:
            about = definitions[member["$ref"].rpartition("/")[2]]
            assert "type" in about["required"]
            assert isinstance(about["properties"]["type"]["const"], str)
