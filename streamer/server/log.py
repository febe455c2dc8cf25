"""What a server writes about itself: lines for people, or one JSON object a line for programs.

Every line of a session carries its name. Sound and words are never written.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

session: Final[ContextVar[str | None]] = ContextVar("emostream_session", default=None)
"""Of which the lines are that this task writes."""


class _WithSession(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.session = session.get()
        return True


class JsonFormatter(logging.Formatter):
    """time (UTC), level, logger, message; session, where there is one; the fields of `extra={"facts":
    ...}`.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (name := getattr(record, "session", None)) is not None:
            line["session"] = name
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s%(tail)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        facts = dict(getattr(record, "facts", {}))
        if (name := getattr(record, "session", None)) is not None:
            facts["session"] = name
        record.tail = "".join(f" {key}={value}" for key, value in facts.items())
        return super().format(record)


def configure_logging(form: LogFormat, level: LogLevel) -> None:
    """On standard error, for the project's own loggers. Other libraries tell from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(_WithSession())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("emostream").setLevel(level.upper())
