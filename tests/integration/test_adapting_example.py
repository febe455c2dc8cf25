"""The example of docs/training.md, as it stands there: forty clips, a model adapted to them, and served."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from emostream.models import Clip, EmotionInput, load_recognizer
from emostream.models.checkpoint_files import BUNDLED
from emostream.training.corpora.places import read_places
from emostream.training.data.audio_decoding import read_clip
from tests.support.shared import REPO

OFFLINE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | OFFLINE,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_forty_clips_adapt_the_shipped_model(tmp_path: Path) -> None:
    made = run(str(REPO / "examples" / "forty_clips.py"), "forty", folder=tmp_path)
    assert (made.returncode, made.stdout, made.stderr) == (0, "40 clips in forty\n", "")
    fitted = run(
        *("-m", "emostream.training", "fit", "--init", str(BUNDLED), "--data", "forty"),
        *("--output-dir", "my-model"),
        folder=tmp_path,
    )
    assert fitted.returncode == 0, fitted.stderr
    assert re.fullmatch(r"40 clips; 0:\d\d:\d\d\n", fitted.stderr)
    assert fitted.stdout.splitlines()[-1] == "my-model"
    recognizer = load_recognizer(tmp_path / "my-model", device="cpu")
    examples = read_places([tmp_path / "forty"])
    assert len(examples) == 40
    predictions = recognizer.recognize([EmotionInput(Clip(read_clip(e.audio_path))) for e in examples])
    right = [p.label == e.emotion for p, e in zip(predictions, examples, strict=True)]
    assert sum(right) >= 34
