"""A form with a file in it (`multipart/form-data`, RFC 7578), read piece by piece and bounded."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..audio.memory_file import MemoryFile
from .http_exchange import RequestError

_FIELD_BYTES: Final = 1 << 16
"""Of all fields that are no file, together."""

_FIELDS: Final = 64
_CHARACTERS: Final = 120
OVERHEAD_BYTES: Final = _FIELD_BYTES + _FIELDS * 4_224
"""How much longer than its file a form may be at most."""


@dataclass(slots=True)
class Form:
    """fields: (name, value), in their order. files: by name."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, MemoryFile] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        """The values of a field that may occur several times, as `name` or, as PHP wrote it, `name[]`."""
        return [value for key, value in self.fields if key in (name, f"{name}[]")]

    def last(self, name: str) -> str | None:
        """The value of a field; None where it is missing or empty."""
        return (self.all(name) or [""])[-1].strip() or None


def boundary_of(content_type: str | None) -> bytes:
    """Raises RequestError for another type of content."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "expected a form with a file (Content-Type: multipart/form-data; boundary=...), got "
            f"{_one_line(content_type or 'none')}; send one: curl -F file=@speech.wav",
        )
    return options[b"boundary"]


def too_large(limit: int) -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"expected a recording of at most {limit} bytes, got a longer one; compress it (flac, ogg, mp3), "
        "or cut it",
    )


class FormReader:
    """file_bytes: the longest file. Several files of one name: the last one counts."""

    def __init__(self, boundary: bytes, file_bytes: int) -> None:
        """Raises RequestError for a boundary that cannot be one."""
        self.form = Form()
        self._file_bytes = file_bytes
        self._parts = self._field_bytes = self._held_bytes = 0
        self._header_name = self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._filename: str | None = None
        self._data = io.BytesIO()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except MultipartParseError as error:
            raise _malformed(error) from error

    async def read(self, body: AsyncIterator[bytes]) -> Form:
        """Raises RequestError, and what the body raises."""
        async for data in body:
            self.feed(data)
        return self.finish()

    def feed(self, data: bytes) -> None:
        """Raises RequestError."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise _malformed(error) from error

    def finish(self) -> Form:
        """Raises RequestError where the form has no end."""
        if not self._complete:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, "expected a whole form, got one that is cut short; send it again"
            )
        return self.form

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _FIELDS:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, f"expected at most {_FIELDS} fields, got more; leave some out"
            )
        self._headers, self._data = {}, io.BytesIO()

    def _begin_header(self) -> None:
        self._header_name = self._header_value = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise RequestError(
                HTTPStatus.BAD_REQUEST,
                "expected parts with Content-Disposition: form-data; name=..., got one without; correct the "
                "form",
            )
        self._name = options[b"name"].decode("utf-8", "replace")
        filename = options.get(b"filename")
        self._filename = None if filename is None else filename.decode("utf-8", "replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is None:
            self._field_bytes += end - start
            if self._field_bytes > _FIELD_BYTES:
                raise RequestError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"expected at most {_FIELD_BYTES} bytes in the fields that are no file, got more; "
                    "shorten them",
                )
        else:
            self._held_bytes += end - start
            if self._held_bytes > self._file_bytes:
                raise too_large(self._file_bytes)
        self._data.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._filename is None:
            self.form.fields.append((self._name, self._data.getvalue().decode("utf-8", "replace")))
        else:
            name = _one_line(self._filename) or "the upload"
            self.form.files[self._name] = MemoryFile(name, self._data.getvalue())

    def _end(self) -> None:
        self._complete = True


def _one_line(text: str) -> str:
    """What a client has sent, for a message."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)[:_CHARACTERS]


def _malformed(error: MultipartParseError) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST, f"expected a form as RFC 7578 has it, got: {error}; correct the request"
    )
