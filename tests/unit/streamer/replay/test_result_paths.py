"""Names of result files: by name, by stem, where names collide, and where they are too long."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.errors import ConfigError
from emostream.streamer.replay.discovery import ReplayJob
from emostream.streamer.replay.outputs import PerFileResults, ReplayOutcome
from emostream.streamer.replay.result_paths import paths_beside, paths_in_folder


def jobs(*paths: str) -> list[ReplayJob]:
    return [ReplayJob(Path(path), Path(path).name) for path in paths]


def names(found: tuple[dict[ReplayJob, Path], list[str]]) -> list[str]:
    return [str(path) for path in found[0].values()]


def test_a_folder_has_a_file_for_each_recording() -> None:
    found = paths_in_folder(jobs("a/x.wav", "a/x.flac"), Path("out"), ".jsonl")
    assert (names(found), found[1]) == (["out/x.wav.jsonl", "out/x.flac.jsonl"], [])


def test_beside_a_recording_its_stem_counts() -> None:
    found = paths_beside(jobs("a/x.wav", "b/x.wav", "a/12:30.flac"), ".srt")
    assert (names(found), found[1]) == (["a/x.srt", "b/x.srt", "a/12:30.srt"], [])


def test_two_recordings_of_one_stem_are_both_kept_and_told() -> None:
    found = paths_beside(jobs("a/x.wav", "a/x.flac", "a/y.wav"), ".srt")
    assert sorted(names(found)) == ["a/x.flac.srt", "a/x.wav.srt", "a/y.srt"]
    assert found[1] == [
        "a/x.wav and a/x.flac would share a file of results, which are in x.wav.srt and x.flac.srt instead"
    ]


@pytest.mark.parametrize(
    "pair", [("a/x.wav", "b/x.wav"), ("a/x.wav", "a/X.wav"), ("a/é.wav", "a/e\u0301.wav")]
)
def test_names_that_a_file_system_takes_for_one_are_both_kept_and_told(pair: tuple[str, str]) -> None:
    paths, notes = paths_in_folder(jobs(*pair), Path("out"), ".csv")
    assert len({path.name.casefold() for path in paths.values()}) == 2
    assert all(path.name.endswith(".csv") for path in paths.values())
    assert len(notes) == 1
    again, _ = paths_in_folder(jobs(*reversed(pair), "c/other.wav"), Path("out"), ".csv")
    assert paths.items() <= again.items()  # so that --resume finds them


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".wav", "é" * 125 + ".flac", "\udcff" * 200 + "y" * 50 + ".wav"]
)
def test_a_long_name_is_cut_so_that_every_file_can_be_written(name: str, tmp_path: Path) -> None:
    job = ReplayJob(tmp_path / name, name)
    results = PerFileResults(tmp_path / "out", "jsonl")
    assert results.check([job]) == []
    for outcome in (ReplayOutcome(job),):
        with results.place_file(job, outcome) as path:
            path.write_text("")
    assert results.path(job).name.endswith(".jsonl")
    other = ReplayJob(tmp_path / f"{name[:-5]}_{name[-4:]}", f"{name[:-5]}_{name[-4:]}")
    results.check([job, other])
    assert results.path(job) != results.path(other)


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a folder to write to"):
        PerFileResults(tmp_path / "file", "jsonl").check(jobs("x.wav"))
    (tmp_path / "out" / "x.wav.jsonl").mkdir(parents=True)
    with pytest.raises(ConfigError, match="got a folder or a recording of that name"):
        PerFileResults(tmp_path / "out", "jsonl").check(jobs("x.wav"))
