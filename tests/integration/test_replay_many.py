"""`emostream replay` on folders: damaged files among good ones, several at a time, killed and resumed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emostream.streamer.replay.discovery import find_jobs
from tests.support.programs import (
    ENVIRONMENT,
    PROGRAM,
    RECORDING,
    SMALL_MODEL,
    TIMEOUT_S,
    json_lines,
    run,
    running,
    without,
)
from tests.support.wav_file import write_speech

GOOD = 20


def damage(folder: Path) -> int:
    """Writes a dozen damaged files with names of recordings; returns their number."""
    folder.mkdir(parents=True)
    whole = write_speech(folder / "whole.flac", seed=99, ms=4_000).read_bytes()
    (folder / "whole.flac").unlink()
    wav = write_speech(folder / "whole.wav", seed=98).read_bytes()
    (folder / "whole.wav").unlink()
    soundfile.write(folder / "no-samples.wav", np.zeros(0, np.float32), 16_000)
    with zipfile.ZipFile(folder / "archive.mp3", "w") as archive:
        archive.writestr("a", "b")
    (folder / "dangling.wav").symlink_to(folder / "gone")
    contents = {
        "empty.wav": b"",
        "empty.ogg": b"",
        "text.mp3": b"dear diary " * 50,
        "page.webm": b"<!doctype html><title>404</title>",
        "header.wav": wav[:40],
        "picture.m4a": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "noise.opus": np.random.default_rng(0).bytes(5_000),
        "cut.flac": whole[: len(whole) // 2],
        "zeros.wma": bytes(4_000),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return len(list(folder.iterdir()))


def results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results without clock times; rounded, because a batch changes the last digits."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        events = json_lines(path.read_text(encoding="utf-8"))
        for event in events:
            for name in ("probabilities", "audio_only"):
                event.update({name: {k: round(v, 3) for k, v in event.get(name, {}).items()}})
        found[str(path.relative_to(folder))] = [
            without(event, ("timing", "confidence", "seq")) for event in events
        ]
    return found


def test_a_dozen_damaged_files_among_good_ones(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    for number in range(GOOD):
        write_speech(inside / f"{number % 3}" / f"{number}.wav", number)
    (inside / "notes.txt").write_text("no recording, and not called one")
    bad = damage(inside / "bad")
    assert bad == 12
    done = run("replay", str(inside), "--output-dir", str(tmp_path / "out"), "--jobs", "3", *SMALL_MODEL)
    assert done.returncode == 1
    reasons = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
    assert len(reasons) == bad
    for path in (inside / "bad").iterdir():
        assert len([reason for reason in reasons if path.name in reason]) == 1, path
    found = results(tmp_path / "out")
    whole = [name for name in found if ".partial." not in name]
    assert len(whole) == GOOD
    assert all(found[name][-1]["type"] == "closed" for name in whole)
    # Results of the truncated file are kept under another name.
    assert [name for name in found if ".partial." in name] == [str(Path("bad/cut.flac.partial.jsonl"))]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_parallel_replay_gives_the_results_of_serial_replay(tmp_path: Path) -> None:
    for number in range(6):
        write_speech(tmp_path / "in" / f"{number}.wav", number, ms=600 + 300 * number)
    for jobs in ("1", "4"):
        done = run(
            "replay",
            str(tmp_path / "in"),
            "--output-dir",
            str(tmp_path / jobs),
            "--jobs",
            jobs,
            *SMALL_MODEL,
        )
        assert done.returncode == 0, done.stderr
    assert results(tmp_path / "1") == results(tmp_path / "4")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_replay_resumes(tmp_path: Path) -> None:
    """At its natural pace, so that the second recording is under way when the first one is done."""
    for number in range(2):
        write_speech(tmp_path / "in" / f"{number}.wav", number, ms=1_500)
    out = tmp_path / "out"
    arguments = ("replay", str(tmp_path / "in"), "--output-dir", str(out), *SMALL_MODEL)
    with running(*arguments, "--pace", "realtime") as replay:
        replay.wait_for(r"0\.wav: \d")
        replay.process.send_signal(signal.SIGKILL)
        replay.process.wait()
    first = out / "0.wav.jsonl"
    before = first.stat()
    assert not (out / "1.wav.jsonl").exists()
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 recordings have a result already" in done.stderr
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in out.iterdir()) == ["0.wav.jsonl", "1.wav.jsonl"]
    assert run(*arguments, "--resume").returncode == 0


def test_an_interrupted_recording_has_no_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("replay", str(RECORDING), "--output-dir", str(out), "--pace", "realtime", *SMALL_MODEL)
    with running(*arguments) as replay:
        replay.wait_for("Emotion:")
        while not list(out.glob("*.part")):
            assert replay.process.poll() is None
        assert replay.interrupt() == 130
    assert list(out.iterdir()) == []


def test_one_table_of_many_recordings(tmp_path: Path) -> None:
    for number in range(3):
        write_speech(tmp_path / "in" / f"{number}.wav", number)
    done = run("replay", str(tmp_path / "in" / "[01].wav"), "--format", "csv", *SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert rows[0].startswith("file,utterance,channel,start_s")
    assert [Path(row.split(",")[0]).name for row in rows[1:]] == ["0.wav", "1.wav"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--output-dir", "{out}", "--output", "{out}/x"],
            "one of --output .one file., --output-dir .a folder. and --beside",
        ),
        (["--resume"], "--output-dir or --beside with --resume"),
        (["--format", "text", "--output-dir", "{out}"], "format for programs"),
        (["--format", "srt"], "--output-dir DIR or --beside for several recordings as srt"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_contradictory_flags_are_rejected(flags: list[str], message: str, tmp_path: Path) -> None:
    write_speech(tmp_path / "in" / "a.wav", 1)
    write_speech(tmp_path / "in" / "b.wav", 2)
    done = run("replay", str(tmp_path / "in"), *(flag.format(out=tmp_path / "out") for flag in flags))
    assert done.returncode == 2
    assert re.search(message, done.stderr)


def test_missing_recordings_are_errors_with_their_paths(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, failures = find_jobs([tmp_path / "empty", tmp_path / "*.wav", tmp_path / "a.wav"])
    folder, pattern, file = (str(failure) for failure in failures)
    assert "recordings in the folder" in folder
    assert "recordings like" in pattern
    assert "no such file" in file


def test_a_folder_is_searched_recursively_and_names_are_relative_to_it(tmp_path: Path) -> None:
    for name in ("b.wav", "a/c.WAV", "a/b.flac"):
        write_speech(tmp_path / name, 1)
    jobs, failures = find_jobs([tmp_path])
    assert not failures
    assert [job.name for job in jobs] == [str(Path("a/b.flac")), str(Path("a/c.WAV")), "b.wav"]
    assert all(job.seconds == pytest.approx(2.0) for job in jobs)


def test_json_lines_of_several_name_their_recording(tmp_path: Path) -> None:
    paths = [str(write_speech(tmp_path / f"{number}.wav", number)) for number in range(2)]
    done = run("replay", *paths, "--jobs", "2", *SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["file"] for line in lines} == set(paths)
    for path in paths:
        assert [line["seq"] for line in lines if line["file"] == path] == [1, 2, 3]


@pytest.mark.parametrize("form", ["jsonl", "csv", "text"])
def test_a_closed_pipe_gives_no_traceback(form: str) -> None:
    """As with `head`."""
    reader = subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert reader.stdin is not None
    done = subprocess.run(
        [*PROGRAM, "replay", str(RECORDING), str(RECORDING), *SMALL_MODEL, "--format", form],
        stdout=reader.stdin,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    reader.stdin.close()
    reader.wait(timeout=TIMEOUT_S)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="expected /dev/full, found none: not Linux")
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_full_disk_is_reported_in_one_line(form: str) -> None:
    done = run("replay", str(RECORDING), *SMALL_MODEL, "--format", form, "-o", "/dev/full")
    errors = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
    assert (done.returncode, len(errors)) == (2, 1), done.stderr
    assert errors[0].endswith("expected to write the results, got: No space left on device; make room")
    assert "Traceback" not in done.stderr
