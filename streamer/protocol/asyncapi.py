"""The protocol as an AsyncAPI 3.0 document, around the JSON Schema of the messages."""

from __future__ import annotations

import json
from typing import Any, Final

from . import messages
from .schema import schema

_SCHEMA: Final = "#/components/schemas/"
_AUDIO: Final = {
    "name": "audio",
    "title": "Audio",
    "summary": "Interleaved PCM in the format of `start`, each message at most limits.message_bytes.",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}


def asyncapi() -> dict[str, Any]:
    """One channel, `/v1/stream`, with the messages of clients and those of servers."""
    schemas = _schemas()
    client, server = (sorted(_names(schemas[side])) for side in ("ClientMessage", "ServerMessage"))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "emostream",
            "version": f"{messages.PROTOCOL_VERSION}.0.0",
            "description": "Speech in, one typed event an utterance out; see docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "stream": {
                "address": "/v1/stream",
                "description": f"A websocket, subprotocol {messages.SUBPROTOCOL}.",
                "messages": {
                    **{name: {"$ref": f"#/components/messages/{name}"} for name in (*client, *server)},
                    "Audio": {"$ref": "#/components/messages/Audio"},
                },
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            # From the server's point of view: it receives the messages of clients.
            "receive": _operation("receive", [*client, "Audio"]),
            "send": _operation("send", server),
        },
        "components": {
            "messages": {
                **{name: _message(name, schemas[name]) for name in (*client, *server)},
                "Audio": _AUDIO,
            },
            "schemas": schemas,
        },
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = _with_asyncapi_refs(schema()["$defs"])
    return schemas


def _with_asyncapi_refs(part: Any) -> Any:
    """`#/$defs/X` -> `#/components/schemas/X`."""
    if isinstance(part, dict):
        return {key: _with_asyncapi_refs(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_with_asyncapi_refs(item) for item in part]
    return part.replace("#/$defs/", _SCHEMA) if isinstance(part, str) else part


def _names(union: dict[str, Any]) -> list[str]:
    return [member["$ref"].removeprefix(_SCHEMA) for member in union["oneOf"]]


def _message(name: str, struct: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": struct["properties"]["type"]["const"],
        "title": name,
        "summary": struct.get("description", "").partition("\n")[0],
        "payload": {"$ref": f"{_SCHEMA}{name}"},
    }


def _operation(action: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/stream"},
        "messages": [{"$ref": f"#/channels/stream/messages/{name}"} for name in names],
    }


if __name__ == "__main__":
    print(json.dumps(asyncapi(), indent=1))
