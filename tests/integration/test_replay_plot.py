"""`emostream replay --plot`: which figures are written, and when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emostream.models import LABELS
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.replay.discovery import ReplayJob
from emostream.streamer.replay.outputs import PerFilePlots, ReplayOutcome
from tests.support.fakes import silence
from tests.support.png import png_size
from tests.support.programs import ENVIRONMENT, SMALL_MODEL, run
from tests.support.wav_file import write_speech

TOTALS = messages.Totals(audio_ms=1_000, utterances=0, dropped_ms=0)

WIDEST = 24 * 150  # pixels: inches times dots per inch


@pytest.mark.parametrize(
    ("totals", "failure", "left"),
    [
        (TOTALS, None, ["a.wav.png"]),
        (TOTALS, SourceError("cut"), ["a.wav.partial.png"]),
        (None, None, []),  # interrupted
        (None, SourceError("not a sound"), []),
    ],
)
async def test_a_figure_is_written_when_its_recording_is_done(
    totals: messages.Totals | None, failure: SourceError | None, left: list[str], tmp_path: Path
) -> None:
    plots = PerFilePlots(tmp_path / "out")
    job = ReplayJob(Path("a.wav"), "in/a.wav")
    outcome = ReplayOutcome(job)
    plots.check([job])
    async with plots.collect(job, outcome, LABELS) as drawn:
        drawn.add_audio(Pcm(silence(1_000)[:, None]), 16_000)
        outcome.totals, outcome.failure = totals, failure
    assert [path.name for path in (tmp_path / "out" / "in").iterdir()] == left
    assert plots.has(job) == (left == ["a.wav.png"])


def test_replay_draws_every_recording_and_resumes(tmp_path: Path) -> None:
    for number in range(3):
        write_speech(tmp_path / "in" / f"{number % 2}" / f"{number}.wav", number)
    out, plots = tmp_path / "out", tmp_path / "plots"
    arguments = (
        "replay",
        str(tmp_path / "in"),
        "--output-dir",
        str(out),
        "--plot",
        str(plots),
        *SMALL_MODEL,
    )
    done = run(*arguments, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    drawn = {path.relative_to(plots).as_posix(): path for path in plots.rglob("*") if path.is_file()}
    assert sorted(drawn) == ["0/0.wav.png", "0/2.wav.png", "1/1.wav.png"]
    assert {png_size(path)[0] <= WIDEST for path in drawn.values()} == {True}
    assert len({path.read_bytes() for path in drawn.values()}) == 3
    drawn["0/2.wav.png"].unlink()
    (out / "1" / "1.wav.jsonl").unlink()
    kept = drawn["0/0.wav.png"].stat().st_mtime_ns, (out / "0" / "0.wav.jsonl").stat().st_mtime_ns
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert "1 of 3 recordings have a result and a plot already" in done.stderr
    assert drawn["0/2.wav.png"].exists()
    assert (out / "1" / "1.wav.jsonl").exists()
    after = drawn["0/0.wav.png"].stat().st_mtime_ns, (out / "0" / "0.wav.jsonl").stat().st_mtime_ns
    assert after == kept


@pytest.mark.parametrize(
    ("package", "flags"),
    [("matplotlib", ("--plot", "plots")), ("pyarrow", ("--format", "parquet", "--output-dir", "out"))],
)
def test_a_missing_package_is_reported_first(package: str, flags: tuple[str, str], tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[0] = 'emostream'\n"
        "from emostream.streamer.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "replay", "nowhere.wav", *flags],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"expected {package} for {flags[0]}" in done.stderr
    assert f"pip install 'emostream[{'plot' if package == 'matplotlib' else 'parquet'}]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_invalid_figure_folder_is_reported_before_models_are_loaded(tmp_path: Path) -> None:
    file = write_speech(tmp_path / "a.wav", 1)
    done = run("replay", str(file), "--plot", str(file), *SMALL_MODEL)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "expected a folder to write to at" in done.stderr
    assert "choose another --plot" in done.stderr
