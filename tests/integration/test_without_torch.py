"""The core install, which has neither PyTorch nor transformers nor what only training needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emostream.models import BUNDLED
from tests.support.tiny_emotion import write_tiny
from tests.support.wav_file import write_speech
from tests.support.without_packages import environment_without, run_in

PYTORCH = ("torch", "functorch", "torchgen", "transformers", "accelerate")
EMOSTREAM = "from emostream.streamer.cli.main import main; main()"
TRAINING = "from emostream.training.__main__ import main; sys.exit(main())"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_without(PYTORCH, tmp_path_factory.mktemp("core"))


def test_a_recording_is_analyzed_with_the_bundled_model(core: Path, tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech.wav", 1, ms=2_000)
    done = run_in(core, EMOSTREAM, "replay", speech, "--asr", "none", "--checkpoint", BUNDLED)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()][-1] == "closed"


@pytest.mark.parametrize(
    "options", [("--checkpoint", "TINY"), ("--device", "cuda"), ("--dtype", "bfloat16")], ids=" ".join
)
def test_what_needs_torch_says_how_to_install_it(
    options: tuple[str, str], core: Path, tmp_path: Path
) -> None:
    name, value = options
    chosen = [name, write_tiny(tmp_path / "tiny") if value == "TINY" else value]
    speech = write_speech(tmp_path / "speech.wav", 1, ms=2_000)
    done = run_in(core, EMOSTREAM, "replay", speech, "--asr", "none", *chosen)
    *_, line = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("emostream: expected PyTorch for ")
    assert "pip install 'emostream[torch]'" in line


@pytest.mark.parametrize(
    "command",
    ["fit --config papers --corpus manifest --data nowhere", "evaluate", "export --checkpoint nowhere"],
)
def test_training_says_how_to_install_what_it_needs(command: str, core: Path, tmp_path: Path) -> None:
    outputs = [] if command.startswith("export") else ["--output-dir", str(tmp_path / "out")]
    done = run_in(core, TRAINING, *command.split(), *outputs)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected the package ")
    assert line.endswith("pip install 'emostream[train]'")


def test_the_overviews_of_both_programs_need_none_of_it(core: Path) -> None:
    for program in (EMOSTREAM, TRAINING):
        done = run_in(core, program, "--help")
        assert done.returncode == 0, done.stderr


def test_doctor_notes_its_absence(core: Path) -> None:
    done = run_in(core, EMOSTREAM, "doctor")
    assert done.returncode == 0, done.stdout
    assert "pip install 'emostream[torch]'" in " ".join(done.stdout.split())
