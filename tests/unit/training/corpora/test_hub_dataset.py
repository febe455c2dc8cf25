"""A data set in Parquet, read by its columns: keys, labels, audio through our own decoder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from emostream.training.corpora.example import CorpusError
from emostream.training.corpora.registry import read_corpus
from emostream.training.data.audio_cache import read_clip

datasets = pytest.importorskip("datasets", reason="needs the package datasets")

TONE = (0.3 * np.sin(np.arange(3200) / 9)).astype(np.float32)


def flac(gain: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, gain * TONE, 16_000, format="FLAC")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """train.parquet of three rows whose label is a number with a name."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features(
        {
            "sound": datasets.Audio(decode=False),
            "sentence": datasets.Value("string"),
            "feeling": datasets.ClassLabel(names=["anger", "glee", "neutral"]),
            "who": datasets.Value("int32"),
        }
    )
    rows = {
        "sound": [{"bytes": flac(gain), "path": f"{gain}.flac"} for gain in (1.0, 0.5, 0.25)],
        "sentence": ["leave me alone", "how nice", None],
        "feeling": [0, 1, 2],
        "who": [7, 8, 7],
    }
    # Not by `Dataset.from_dict`, which decodes the audio to encode it.
    table = pyarrow.Table.from_pydict(rows, schema=features.arrow_schema)
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    return tmp_path


def described(folder: Path, text: str) -> Path:
    file = folder / "columns.toml"
    file.write_text(text, encoding="utf-8")
    return file


COLUMNS = """
source = "train.parquet"
audio = "sound"
text = "sentence"
label = "feeling"
speaker = "who"
[labels]
glee = "happy"
"""


def test_columns_and_labels_are_mapped_and_audio_is_ours_to_decode(folder: Path) -> None:
    examples = read_corpus("datasets", described(folder, COLUMNS))
    assert [example.emotion for example in examples] == ["angry", "happy", "neutral"]
    assert [example.emotion_orig for example in examples] == ["anger", "glee", "neutral"]
    assert [example.words for example in examples] == ["leave me alone", "how nice", ""]
    assert [example.speaker for example in examples] == [f"train.parquet/{who}" for who in (7, 8, 7)]
    assert {example.split for example in examples} == {"train"}
    for example, gain in zip(examples, (1.0, 0.5, 0.25), strict=True):
        np.testing.assert_allclose(read_clip(example.audio_path), gain * TONE, atol=1e-3)
        assert example.audio_path.suffix == ".flac"
    again = read_corpus("datasets", described(folder, COLUMNS))
    assert [example.path for example in again] == [example.path for example in examples]
    assert len(list((folder / "audio-of-datasets").iterdir())) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("glee =", "joyous ="), r"train.parquet/train/1: expected one of .* got 'glee'"),
        (('"who"', '"speaker"'), r"expected a column speaker for speaker, got sound, sentence, feeling, who"),
        (('"sound"', '""'), None),
        (("label =", "lable ="), r"expected the columns of a data set in .* unknown field `lable`"),
        (
            ('source = "train.parquet"', 'source = "train.parquet"\nsplits = ["dev"]'),
            "expected splits out of train",
        ),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, change: tuple[str, str], message: str | None) -> None:
    file = described(folder, COLUMNS.replace(*change))
    if message is None:
        assert all(example.path is None for example in read_corpus("datasets", file))
        return
    with pytest.raises(CorpusError, match=message):
        read_corpus("datasets", file)


@pytest.mark.parametrize("content", [None, b"source = '\xff'", b"source = "], ids=["missing", "bytes", "cut"])
def test_a_file_that_is_no_toml_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "columns.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        CorpusError, match=r"expected a TOML file of the columns of a data set at .*columns\.toml"
    ):
        read_corpus("datasets", file)
