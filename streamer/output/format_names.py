"""The names of the output formats; `formats` has what writes them."""

from __future__ import annotations

from typing import Literal

FormatName = Literal[
    "jsonl", "text", "csv", "parquet", "srt", "vtt", "textgrid", "elan", "rttm", "audacity", "labelstudio"
]
