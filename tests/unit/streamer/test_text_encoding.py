"""Settings, tokens and results in the encodings that editors and shells write."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from emostream.streamer.config import load_settings
from emostream.streamer.errors import ConfigError
from emostream.streamer.server.auth import read_tokens
from emostream.streamer.text_encoding import decode_text

MARKED = [
    pytest.param(codecs.BOM_UTF8, "utf-8", id="utf-8"),
    pytest.param(codecs.BOM_UTF16_LE, "utf-16-le", id="utf-16-le"),
    pytest.param(codecs.BOM_UTF16_BE, "utf-16-be", id="utf-16-be"),
    pytest.param(codecs.BOM_UTF32_LE, "utf-32-le", id="utf-32-le"),
    pytest.param(b"", "utf-8", id="utf-8 without a mark"),
    pytest.param(b"", "utf-16-le", id="utf-16-le without a mark"),
    pytest.param(b"", "utf-16-be", id="utf-16-be without a mark"),
]


@pytest.mark.parametrize(("mark", "encoding"), MARKED)
def test_settings_and_tokens_are_read_in_every_encoding(mark: bytes, encoding: str, tmp_path: Path) -> None:
    settings, tokens = tmp_path / "s.toml", tmp_path / "t.txt"
    settings.write_bytes(mark + "[segmenter]\r\n# für\r\nmin_silence_ms = 900\r\n".encode(encoding))
    tokens.write_bytes(mark + "0123456789abcdef0123\r\n".encode(encoding))
    assert load_settings(settings).segmenter.min_silence_ms == 900
    assert read_tokens(tokens) == ["0123456789abcdef0123"]


@pytest.mark.parametrize("data", [b"caf\xe9 = 1", codecs.BOM_UTF16_LE + b"a\0b"])
def test_other_bytes_are_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_bytes(data)
    with pytest.raises(UnicodeDecodeError):
        decode_text(data)
    with pytest.raises(ConfigError, match="expected TOML with the sections"):
        load_settings(file)
