"""JSON Schema of every message, generated from the structs: with the ranges that types cannot express, and
a name for everything that a generator of types makes a type of.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec

from . import messages

Schema = dict[str, Any]
Range = tuple[float, float | None]

_RANGES: Final[dict[tuple[str, str], Range]] = {
    ("Start", "sample_rate"): messages.SAMPLE_RATES_HZ,
    ("Start", "channels"): messages.CHANNELS,
    ("Start", "language"): messages.LANGUAGE_CHARACTERS,
    ("Options", "min_silence_ms"): (200, 5_000),
    ("Options", "max_utterance_ms"): (2_000, 28_000),
    ("Options", "channels"): messages.CHANNELS,
    ("Gap", "ms"): (1, messages.MAX_GAP_MS),
    ("Gap", "reason"): messages.GAP_REASON_CHARACTERS,
    ("Emotion", "confidence"): (0, 1),
    ("Emotion", "probabilities"): (0, 1),
    ("Emotion", "audio_only"): (0, 1),
    ("Emotion", "text_only"): (0, 1),
    ("Word", "confidence"): (0, 1),
    ("NoEmotion", "speech"): (0, 1),
    ("Ready", "protocol"): (messages.PROTOCOL_VERSION, messages.PROTOCOL_VERSION),
}
_LEAST: Final[dict[str, float]] = {"utterance": 1, "channel": 1}
"""Of fields of this name; of all other numbers 0."""

_BOUNDS: Final = {"string": ("minLength", "maxLength")}


def schema() -> Schema:
    """JSON Schema (2020-12)."""
    (client, server), components = msgspec.json.schema_components(
        [messages.ClientMessage, messages.ServerMessage], ref_template="#/$defs/{name}"
    )
    named: Schema = {}
    for struct, definition in components.items():
        named[struct] = _struct(struct, definition, named)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Emostream Protocol {messages.PROTOCOL_VERSION}",
        "$defs": {**named, "ClientMessage": _union(client), "ServerMessage": _union(server)},
        "oneOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
    }


def _union(union: Schema) -> Schema:
    """Of messages, which differ in the constant `type`."""
    return {"oneOf": union["anyOf"]}


def _struct(name: str, definition: Schema, named: Schema) -> Schema:
    """Choices of strings get definitions of their own, in `named`."""
    properties: Schema = {}
    for field, value in definition["properties"].items():
        least = _LEAST.get(field, 0)
        properties[field] = _bounded(value, _RANGES.get((name, field), (least, None)))
        _name_choices(properties[field], name + "".join(map(str.capitalize, field.split("_"))), named)
    if "description" in definition:
        definition = definition | {"description": inspect.cleandoc(definition["description"])}
    return definition | {"properties": properties}


def _bounded(value: Schema, bounds: Range) -> Schema:
    """The part of a schema with the bounds of its numbers; of a text, those of its length."""
    if "enum" in value and len(value["enum"]) == 1:
        return {"const": value["enum"][0]}
    if "anyOf" in value:
        return value | {"anyOf": [_bounded(part, bounds) for part in value["anyOf"]]}
    if isinstance(value.get("additionalProperties"), dict):
        return value | {"additionalProperties": _bounded(value["additionalProperties"], bounds)}
    kind = value.get("type")
    if kind == "string" and bounds[1] is None:
        return value
    if kind not in ("integer", "number", "string"):
        return value
    names = _BOUNDS.get(kind, ("minimum", "maximum"))
    return value | {name: bound for name, bound in zip(names, bounds, strict=True) if bound is not None}


def _name_choices(value: Schema, name: str, named: Schema) -> None:
    """Replace a choice of strings inside `value` by a reference to one of this name."""
    for part in (value, *value.get("anyOf", ())):
        if "enum" in part:
            named[name] = {"title": name, "type": "string", "enum": part.pop("enum")}
            part["$ref"] = f"#/$defs/{name}"
