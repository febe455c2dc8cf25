"""`fit --init`: a checkpoint and a folder of clips in, a checkpoint that is served out."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import LABELS, Clip, EmotionInput, load_recognizer
from emostream.models.checkpoint import load_checkpoint
from emostream.training.__main__ import main
from emostream.training.adaptation import adapt as adapt_module
from emostream.training.adaptation import selection
from emostream.training.corpora.places import read_places
from emostream.training.data.audio_cache import read_clip, trim
from tests.support.corpus_trees import write_sound
from tests.support.tiny_emotion import write_tiny

BASELINE = {"prior_count": 5.0, "neutral_weight": 0.0, "max_shift": None}


@pytest.fixture(autouse=True)
def _few_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds and one candidate beside the weights as they are: seconds less."""
    for module in (adapt_module, selection):
        monkeypatch.setattr(module, "FOLDS", 2)
        monkeypatch.setattr(module, "STRENGTHS", (math.inf, 1.0))
    monkeypatch.setattr(selection, "INNER_FOLDS", 2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    weights = {"audio": {"audio": 1.0, "early": 0.0}, "text": {"early": 0.5, "text": 0.5}}
    weights["both"] = {"audio": 0.5, "early": 0.3, "text": 0.2}
    folder = write_tiny(
        tmp_path / "tiny",
        audio_mix="concat",
        audio_mix_layers=[0, 1],
        audio_mix_width=8,
        baseline=BASELINE,
        late_weights=weights,
    )
    (folder / "LICENSE.md").write_text("terms", encoding="utf-8")
    return folder


def clips(root: Path, *, speakers: int = 5) -> Path:
    for speaker in range(speakers):
        for number, label in enumerate(LABELS):
            write_sound(root / f"s{speaker}" / label / "1.wav", label, 10 * speaker + number)
    return root


def fit(checkpoint: Path, data: Path, out: Path, *options: str) -> int:
    arguments = ["fit", "--init", str(checkpoint), "--data", str(data), "--output-dir", str(out)]
    return main([*arguments, "--work", str(out.parent / "run"), *options])


@pytest.mark.long
def test_the_result_is_served_and_its_folder_is_the_last_line(
    tmp_path: Path, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "adapted"
    assert fit(checkpoint, clips(tmp_path / "clips"), out) == 0
    printed = capfd.readouterr()
    assert printed.out.splitlines()[-1] == str(out)
    assert re.fullmatch(r"20 clips; 0:\d\d:\d\d\n", printed.err)
    assert "20 clips, 5 speakers, 0 with words." in printed.out
    for row in ("as it was", "adapted", "a linear probe instead"):
        assert f"| {row} |" in printed.out
    assert (out / "LICENSE.md").read_text() == "terms"
    assert "Made from tiny" in (out / "README.md").read_text()
    recognizer = load_recognizer(out, device="cpu")
    examples = read_places([tmp_path / "clips"])
    predictions = recognizer.recognize(
        [EmotionInput(Clip(trim(read_clip(example.audio_path)))) for example in examples]
    )
    right = np.mean([p.label == e.emotion for p, e in zip(predictions, examples, strict=True)])
    assert right > 0.5


@pytest.mark.long
def test_the_encoders_and_the_text_head_are_those_of_the_checkpoint(tmp_path: Path, checkpoint: Path) -> None:
    out = tmp_path / "adapted"
    assert fit(checkpoint, clips(tmp_path / "clips"), out) == 0
    before, after = (load_checkpoint(folder).model.state_dict() for folder in (checkpoint, out))
    changed = {name for name, values in after.items() if not torch.equal(values, before[name])}
    assert {name.split(".")[0] for name in changed} <= {"audio_pool", "audio_head", "adapted_head"}


@pytest.mark.long
def test_clips_of_one_voice_are_divided_by_clip_and_said_so(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "clips"
    for number in range(16):
        write_sound(root / LABELS[number % 4] / f"{number}.wav", LABELS[number % 4], number)
    assert fit(checkpoint, root, tmp_path / "adapted") == 0
    printed = capsys.readouterr().out
    assert "speakers unknown" in printed
    assert "The folds divide clips, not speakers" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "papers"], "expected no --config with --init"),
        (["--seed", "0"], "expected no --seed with --init"),
        (["--asr", "none"], "expected a transcriber for --asr, got none"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    tmp_path: Path, checkpoint: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(checkpoint, clips(tmp_path / "clips", speakers=2), tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_too_few_clips_and_the_checkpoint_s_own_folder_are_refused(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = clips(tmp_path / "few", speakers=1)
    assert fit(checkpoint, few, tmp_path / "out") == 2
    assert "expected 8 clips or more" in capsys.readouterr().err
    assert fit(checkpoint, clips(tmp_path / "clips"), checkpoint) == 2
    assert "expected --output-dir to be another folder than --init" in capsys.readouterr().err


def test_without_init_a_corpus_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data", str(tmp_path), "--output-dir", str(tmp_path / "out")]) == 2
    assert "expected --corpus, got none" in capsys.readouterr().err
