"""`GET /v1/models`: the names by which a transcription may be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from websockets.http11 import Response

from ..responses import json_response, text_response
from .transcription_request import MODELS

MODELS_PATH: Final = "/v1/models"
TRANSCRIPTIONS_PATH: Final = "/v1/audio/transcriptions"

UNSUPPORTED: Final = (
    "/v1/audio/speech",
    "/v1/audio/translations",
    "/v1/chat/",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/realtime",
    "/v1/responses",
)
"""Of OpenAI's interface."""


def is_openai_path(path: str) -> bool:
    """Whether its errors have OpenAI's shape."""
    return path == MODELS_PATH or path.startswith((f"{MODELS_PATH}/", "/v1/audio/", *UNSUPPORTED))


def models_response(path: str, created: int, models: Sequence[str]) -> Response:
    """created: when the server was started, in seconds since 1970. models: what stands behind the names, for
    people.
    """
    listed = [_model(name, created, models) for name in MODELS]
    if path == MODELS_PATH:
        return json_response({"object": "list", "data": listed})
    name = unquote(path.removeprefix(f"{MODELS_PATH}/"))
    for model in listed:
        if model["id"] == name:
            return json_response(model)
    text = f"expected a model of this server ({', '.join(MODELS)}), got {name[:80]!r}; see {MODELS_PATH}"
    return text_response(HTTPStatus.NOT_FOUND, text)


def _model(name: str, created: int, models: Sequence[str]) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "emostream",
        "models": list(models),
    }
