"""`emostream bench streams` and `bench replay`, each with a few seconds of speech, as programs."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import soundfile

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.bench.workload import make_workload, read_clips
from emostream.streamer.plurals import counted
from tests.support.programs import SMALL_MODEL, json_lines, run

SECONDS = 5.0


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """The first sentence of the bundled recording: it ends 3.1 s into it."""
    path = tmp_path / "sentence.wav"
    recording = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))
    soundfile.write(path, recording[: int(3.3 * 16_000)], 16_000)
    return path


def test_streams_measures_one_server_for_each_count(speech: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run(
        "bench", "streams", "--counts", "1,2", *SMALL_MODEL, "--speech", str(speech),
        "--seconds", str(SECONDS), "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert [one["streams"] for one in found] == [1, 2]
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len({tuple(i for i, letter in enumerate(line) if letter == "|") for line in table}) == 1  # aligned
    for one in found:
        count = one["streams"]
        loads = [make_workload(read_clips([speech]), SECONDS, stream=stream) for stream in range(count)]
        clips = sum(len(load.spans) for load in loads)
        assert one["segmentation"] == {"clips": clips, "split": 0, "missed": 0}
        assert sum(row["finals"] for row in one["latency"]) == clips
        assert one["refused"] == one["errors"] == []
        assert one["dropped_ms"] == 0
        assert one["slowest_ping_ms"] > 0
        assert one["model_s"] > 0
        assert re.search(rf"^\| {count} +\| silence +\| {clips} +\| ", done.stdout, re.M)
        assert f"{count}/2 {count} stream{'' if count == 1 else 's'}: " in done.stderr
        split = f"{counted(count, 'stream')}: 0 of {counted(clips, 'clip')} split, 0 missed; "
        assert f"\n- {split}" in done.stdout


def test_bench_replay_measures_the_utterances_of_replay(speech: Path, tmp_path: Path) -> None:
    """The load as a file, replayed by the program: the number of finals equals the reported one."""
    file, load = tmp_path / "figures.json", tmp_path / "load.wav"
    done = run(
        "bench", "replay", *SMALL_MODEL, "--speech", str(speech),
        "--seconds", "12", "--recordings", "1", "--repeats", "1", "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    figures = re.search(r"- replay ([\d.]+) x, the bare models ([\d.]+) x .*; (\d+) utterances", done.stdout)
    assert figures is not None
    assert float(figures[1]) == round(found["replay"], 1) > 0
    assert float(figures[2]) == round(found["bare"], 1) > 0
    soundfile.write(load, make_workload(read_clips([speech]), 12.0).samples, 16_000, subtype="FLOAT")
    events = json_lines(run("replay", str(load), *SMALL_MODEL).stdout)
    finals = sum(line["type"] == "emotion" for line in events)
    assert int(figures[3]) == found["utterances"] == finals > 1
