"""Forms with a file, as the packages `httpx` and `email` write them; bounds and broken forms."""

from __future__ import annotations

from email.generator import BytesGenerator
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from io import BytesIO

import httpx
import pytest

from emostream.streamer.server.http_exchange import RequestError
from emostream.streamer.server.multipart import Form, FormReader, boundary_of

SOUND = bytes(range(256)) * 40 + b"\r\n--" + b"\r\n\r\n"


def request(**fields: str | list[str]) -> httpx.Request:
    return httpx.Request("POST", "http://x/", data=fields, files={"file": ("a b.wav", SOUND)})


def read(request: httpx.Request, piece: int, limit: int = len(SOUND)) -> Form:
    reader = FormReader(boundary_of(request.headers["Content-Type"]), limit)
    body = request.read()
    for at in range(0, len(body), piece):
        reader.feed(body[at : at + piece])
    return reader.finish()


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_fields_and_file_however_the_body_is_cut(piece: int) -> None:
    form = read(request(model="emostream", prompt="日本\r\n語", **{"t[]": ["word", "segment"]}), piece)
    assert form.all("t") == ["word", "segment"]
    assert (form.last("model"), form.last("prompt"), form.last("other")) == ("emostream", "日本\r\n語", None)
    assert (form.files["file"].name, form.files["file"].data) == ("a b.wav", SOUND)


def test_a_form_of_another_writer() -> None:
    outer = MIMEMultipart("form-data", boundary="one two")
    part = MIMEApplication(SOUND, _encoder=lambda one: None)
    part.add_header("Content-Disposition", "form-data", name="file", filename='sp"eech.wav')
    outer.attach(part)
    out = BytesIO()
    BytesGenerator(out, policy=outer.policy.clone(linesep="\r\n")).flatten(outer)
    body = out.getvalue().partition(b"\r\n\r\n")[2]
    reader = FormReader(boundary_of('multipart/form-data; charset=utf-8; boundary="one two"'), 1 << 20)
    reader.feed(body)
    assert reader.finish().files["file"].name == 'sp"eech.wav'


def test_a_file_of_just_the_limit_and_one_byte_more() -> None:
    assert read(request(), 999, len(SOUND)).files["file"].data == SOUND
    with pytest.raises(RequestError, match=f"at most {len(SOUND) - 1} bytes, got a longer one") as raised:
        read(request(), 999, len(SOUND) - 1)
    assert raised.value.status == 413


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "multipart/form-data", "multipart/mixed; boundary=a"]
)
def test_another_type_of_content(content_type: str | None) -> None:
    with pytest.raises(RequestError, match="expected a form with a file") as raised:
        boundary_of(content_type)
    assert raised.value.status == 415


def part(head: str, body: str = "x") -> str:
    return f"--b\r\n{head}\r\n\r\n{body}\r\n"


NAMED = 'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 400, "cut short"),
        (part(NAMED), 400, "cut short"),
        ("nonsense", 400, "RFC 7578"),
        (part("Content-Type: text/plain") + "--b--\r\n", 400, "Content-Disposition"),
        (part('Content-Disposition: attachment; name="a"') + "--b--\r\n", 400, "Content-Disposition"),
        (part("\r\n".join([NAMED, *(f"X-{i}: 1" for i in range(20))])) + "--b--\r\n", 400, "RFC 7578"),
        (part(f"{NAMED}\r\nX: {'y' * 10_000}") + "--b--\r\n", 400, "RFC 7578"),
        (65 * part(NAMED) + "--b--\r\n", 400, "at most 64 fields"),
        (part(NAMED, "y" * 70_000) + "--b--\r\n", 413, "65536 bytes"),
    ],
)
def test_a_broken_or_overlong_form_is_one_line(body: str, status: int, message: str) -> None:
    reader = FormReader(b"b", 1 << 20)
    with pytest.raises(RequestError, match=message) as raised:
        reader.feed(body.encode())
        reader.finish()
    assert raised.value.status == status
    assert "\n" not in str(raised.value)


def test_a_name_of_odd_characters_is_one_line() -> None:
    reader = FormReader(b"b", 1 << 20)
    head = b'Content-Disposition: form-data; name="file"; filename="a\tb\xff' + b"c" * 500 + b'"'
    reader.feed(b"--b\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n")
    name = reader.finish().files["file"].name
    assert name.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c")
    assert len(name) == 120
