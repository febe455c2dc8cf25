"""`emostream batch` on clusters of several nodes on this machine: nodes, workers and programs are
killed half-way, and every result is there once.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from tests.support.programs import ENVIRONMENT, SMALL_MODEL, json_lines, run, running
from tests.support.ray_nodes import cluster_of, workers
from tests.support.wav_file import write_speech

pytestmark = pytest.mark.ray

TIMEOUT_S = 300
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(1, 1) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        write_speech(folder / f"{number:02}.wav", number, ms=500 + 100 * number)
    return folder


@pytest.fixture(scope="module")
def expected(clips: Path) -> dict[str, list[dict[str, Any]]]:
    return alone(clips)


def alone(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The results of one process for each recording, by its path."""
    done = run("replay", str(folder), *SMALL_MODEL, "--jobs", "4")
    assert done.returncode == 0, done.stderr
    return by_file(json_lines(done.stdout))


def by_file(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["file"], []).append(line)
    return found


def archived(out: Path) -> dict[str, list[dict[str, Any]]]:
    files = sorted((out / "results").iterdir())
    return by_file([line for file in files for line in json_lines(file.read_text(encoding="utf-8"))])


def assert_same(found: dict[str, list[dict[str, Any]]], wanted: dict[str, list[dict[str, Any]]]) -> None:
    """Every event once, and the predictions within the tolerance."""
    assert found.keys() == wanted.keys()
    for file, events in wanted.items():
        assert [_plain(one) for one in found[file]] == [_plain(one) for one in events], file
        for one, other in zip(found[file], events, strict=True):
            for view in ("probabilities", "audio_only"):
                assert one.get(view, {}) == pytest.approx(other.get(view, {}), abs=TOLERANCE), file


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "seq", "utterance", "final", "label", "start_ms", "end_ms", "at_ms", "reason", "totals")
    return {name: event.get(name) for name in kept}


def notes(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in (out / "done").glob("*.json")]


def wait_until(true: Callable[[], bool], program: subprocess.Popen[str]) -> None:
    """While the program runs."""
    until = time.monotonic() + TIMEOUT_S
    while not true():
        assert program.poll() is None, "the program has ended"
        assert time.monotonic() < until
        time.sleep(0.01)


def on_ray(cluster: Any, *arguments: str) -> tuple[str, ...]:
    return ("batch", "--address", cluster.address, *SMALL_MODEL, *arguments)


DRIVERS = """
import os
import time
from fsspec.implementations.local import LocalFileSystem

class Deadly(LocalFileSystem):
    protocol = "deadly"

    def _open(self, path, *arguments, **named):
        if path.endswith("05.wav"):
            os.kill(os.getpid(), 9)
        return super()._open(path, *arguments, **named)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix(f"{cls.protocol}://"))

class Gated(Deadly):
    protocol = "gated"

    def _open(self, path, *arguments, **named):
        while os.path.exists(path + ".held"):
            time.sleep(0.02)
        return LocalFileSystem._open(self, path, *arguments, **named)

class Failing(Deadly):
    protocol = "failing"

    def put_file(self, *arguments, **named):
        raise ZeroDivisionError("on fire")
"""


@pytest.fixture
def drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec's, installed for every process that starts from here on: deadly://, on which workers die,
    gated://, which gives no recording while a marker file beside it exists, and failing://, to
    which nothing can be written.
    """
    metadata = tmp_path / "drivers" / "drivers-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: drivers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[fsspec.specs]\ndeadly = test_drivers:Deadly\ngated = test_drivers:Gated\n"
        "failing = test_drivers:Failing\n"
    )
    (tmp_path / "drivers" / "test_drivers.py").write_text(DRIVERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "drivers"))
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(tmp_path / "drivers"))


def hold(recordings: Iterable[Path]) -> list[Path]:
    """The marker files to remove, one by one or all, before gated:// gives them."""
    gates = [path.with_name(f"{path.name}.held") for path in recordings]
    for gate in gates:
        gate.touch()
    return gates


def let_go(gates: Iterable[Path]) -> None:
    for gate in gates:
        gate.unlink()


def test_three_hundred_clips_with_one_of_three_nodes_killed_half_way(drivers: None, tmp_path: Path) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    for number in range(300):
        write_speech(inside / f"{number % 7}" / f"{number}.wav", number, ms=400 + 10 * (number % 90))
    wanted = alone(inside)
    assert len(wanted) == 300
    assert Counter(line["type"] for lines in wanted.values() for line in lines)["emotion"] >= 300
    gates = hold(sorted(inside.rglob("*.wav"))[150:])
    with (
        cluster_of(1, 1) as nodes,
        running(*on_ray(nodes, f"gated://{inside}", "--output-dir", str(out), "--shard-size", "2")) as replay,
    ):
        replay.wait_for("Ray: 2 workers on 2 nodes. 300 recordings")
        wait_until(lambda: len(notes(out)) >= 50, replay.process)
        at_work = {one["node"] for one in notes(out)}
        lost = next(node for node in nodes.worker_nodes if node.node_id in at_work)
        nodes.remove_node(lost, allow_graceful=False)
        let_go(gates)
        summary = replay.wait_for(r"^300 recordings, \d+ utterances, 0 errors; ")
        assert "x real time" in summary.string
        assert replay.process.wait(timeout=TIMEOUT_S) == 0
    assert_same(archived(out), {f"gated://{file}": events for file, events in wanted.items()})
    assert sum(len(one["recordings"]) for one in notes(out)) == 300
    assert len({one["node"] for one in notes(out)}) == 2
    assert sorted(path.name for path in out.iterdir()) == ["done", "errors", "models.json", "results"]


def test_bad_files_and_a_killed_worker(
    cluster: Any, clips: Path, expected: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """A row each in the errors table; all the rest once."""
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    (inside / "text.wav").write_bytes(b"dear diary")
    (inside / "empty.mp3").write_bytes(b"")
    places = (str(clips), str(inside), str(tmp_path / "gone.wav"))
    with running(*on_ray(cluster, *places, "--output-dir", str(out), "--shard-size", "1")) as replay:
        replay.wait_for("Ray: 2 workers")
        wait_until(lambda: bool(notes(out)), replay.process)
        victim, *_ = workers(cluster, "MapBatches(ReplayWorker)")
        victim.kill()
        replay.wait_for(r"15 recordings.*12 utterances, 3 errors")
        assert replay.process.wait(timeout=TIMEOUT_S) == 1
    assert_same(archived(out), expected)
    rows = [line for path in (out / "errors").iterdir() for line in json_lines(path.read_text())]
    assert sorted((Path(row["file"]).name, row["code"]) for row in rows) == [
        ("empty.mp3", "bad_source"),
        ("gone.wav", "bad_source"),
        ("text.wav", "bad_source"),
    ]


def test_interrupted_terminated_and_killed_runs_resume(
    drivers: None, clips: Path, expected: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out, inside = tmp_path / "out", tmp_path / "in"
    shutil.copytree(clips, inside)
    gates = hold(sorted(inside.iterdir())[3:])
    with cluster_of(1) as nodes:
        arguments = on_ray(nodes, f"gated://{inside}", "--output-dir", str(out), "--shard-size", "1")
        for number, (sent, status) in enumerate(
            [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
        ):
            with running(*arguments, *(["--resume"] if number else [])) as replay:
                if number:
                    replay.wait_for(rf"^{3 * number} of 12 recordings have a result already")
                    let_go(gates[3 * number - 3 : 3 * number])
                wait_until(lambda until=3 * number + 3: len(notes(out)) == until, replay.process)  # type: ignore[misc]
                replay.process.send_signal(sent)
                assert replay.process.wait(timeout=TIMEOUT_S) == status
                if status == 130:
                    replay.wait_for("emostream: interrupted; .* --resume goes on")
        let_go(gates[6:])
        refused = run(*arguments)
        assert refused.returncode == 2
        assert "expected a new folder" in refused.stderr
        done = run(*arguments, "--resume")
        assert done.returncode == 0, done.stderr
        again = run(*arguments, "--resume")
        assert (again.returncode, "12 of 12 recordings" in again.stderr) == (0, True), again.stderr
    assert_same(
        archived(out),
        {f"gated://{inside}/{Path(file).name}": events for file, events in expected.items()},
    )
    assert sum(len(one["recordings"]) for one in notes(out)) == 12


def test_recordings_in_a_zip_archive_have_the_results_of_replay(
    cluster: Any, clips: Path, tmp_path: Path
) -> None:
    from pyarrow import parquet

    alone = run("replay", str(clips), *SMALL_MODEL, "--format", "csv")
    wanted = {Path(row["file"]).name: row for row in csv.DictReader(io.StringIO(alone.stdout))}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in clips.iterdir():
            archive.write(path, path.name)
    out = tmp_path / "out"
    done = run(
        *on_ray(
            cluster, f"zip://*.wav::{tmp_path}/a.zip", "--output-dir", f"file://{out}", "--format", "parquet"
        )
    )
    assert done.returncode == 0, done.stderr
    rows = parquet.read_table(out / "results").to_pylist()
    assert sorted(row["file"] for row in rows) == [
        f"zip://{name}::{tmp_path}/a.zip" for name in sorted(wanted)
    ]
    for row in rows:
        other = wanted[row["file"].removeprefix("zip://").split("::")[0]]
        assert (row["label"], row["start_s"], row["end_s"]) == (
            other["label"],
            float(other["start_s"]),
            float(other["end_s"]),
        )
        for name in (name for name in row if name.startswith(("p_", "audio_"))):
            assert row[name] == pytest.approx(float(other[name]), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("out", "flags", "message"),
    [
        ("memory://out", [], "expected --output-dir on storage that every node of the cluster sees"),
        ("{out}", ["--checkpoint", "{out}/nowhere"], "checkpoint"),
        ("{out}", ["--gpus-per-worker", "1"], "expected a node with 1 CPUs and 1 GPUs"),
    ],
)
def test_what_no_worker_can_do_ends_the_run_with_one_line(
    cluster: Any, clips: Path, out: str, flags: list[str], message: str, tmp_path: Path
) -> None:
    place = tmp_path / "out"
    given = [flag.format(out=place) for flag in flags]
    done = run(*on_ray(cluster, str(clips), "--output-dir", out.format(out=place), *given))
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("Ray: ")]
    assert line.startswith("emostream: ")
    assert message in line


def test_a_recording_on_which_workers_die_is_the_only_one_lost(
    drivers: None, clips: Path, expected: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with cluster_of(1) as nodes:
        done = run(*on_ray(nodes, f"deadly://{clips}", "--output-dir", str(out), "--shard-size", "3"))
        failing = run(*on_ray(nodes, str(clips), "--output-dir", f"failing://{tmp_path}/failing"))
    assert done.returncode == 1, done.stderr
    assert "11 utterances, 1 error" in done.stderr
    (row,) = [line for path in (out / "errors").iterdir() for line in json_lines(path.read_text())]
    assert (row["file"], row["code"]) == (f"deadly://{clips}/05.wav", "worker_died")
    near = {f"deadly://{file}": events for file, events in expected.items() if not file.endswith("05.wav")}
    assert_same(archived(out), near)
    # An unexpected exception is not retried.
    assert failing.returncode == 2, failing.stderr
    (line,) = [line for line in failing.stderr.splitlines() if not line.startswith("Ray: ")]
    assert line.startswith("emostream: ")
    assert "ZeroDivisionError: on fire" in line


def test_all_results_come_from_the_same_models(cluster: Any, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(*on_ray(cluster, f"{clips}/0*.wav", "--output-dir", str(out)))
    assert first.returncode == 0, first.stderr
    for path in ((out / "models.json"), *(out / "done").iterdir()):
        path.write_text(path.read_text().replace("bert bundled", "bert another"))
    before = notes(out)
    arguments = on_ray(cluster, str(clips), "--output-dir", str(out), "--resume")
    for _ in range(2):  # results of the other models do not count
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        assert "10 of 12 recordings have a result already" in done.stderr
        assert "expected the same models for all recordings" in done.stderr
    assert [one for one in notes(out) if one in before] == before
    other = run(*arguments, "--config", str(_stricter(tmp_path)))
    assert other.returncode == 2
    assert "expected vad.aggressiveness 2, as the results in" in other.stderr


def _stricter(folder: Path) -> Path:
    path = folder / "strict.toml"
    path.write_text("[vad]\naggressiveness = 3\n")
    return path


def test_without_a_cluster_a_local_one_is_started(
    clips: Path, expected: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    done = run("batch", "--address", "local", str(clips), "--output-dir", str(tmp_path / "out"), *SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("Ray: ")
    assert last.startswith("12 recordings, ")
    assert_same(archived(tmp_path / "out"), expected)
