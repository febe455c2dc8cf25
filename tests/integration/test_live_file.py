"""`emostream live --file`: a recording as if it were live, for the page and for subscribers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.programs import RECORDING, run_here


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--microphone", "1"], "expected --file or --microphone, got both; leave one out"),
        (["--format", "csv"], "expected --output FILE with --format, got none; add it"),
        (["--file", "{folder}"], "expected one recording with --file, got 2; name one"),
    ],
)
def test_invalid_combinations_are_rejected_in_one_line(
    options: list[str], message: str, tmp_path: Path
) -> None:
    for name in ("a.ogg", "b.ogg"):
        (tmp_path / name).write_bytes(RECORDING.read_bytes())
    given = [option.format(folder=tmp_path) for option in options]
    done = run_here("live", "--file", str(RECORDING), *given)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"emostream: {message}")


def test_a_missing_recording_is_an_error_with_its_path() -> None:
    done = run_here("live", "--file", "nowhere.wav")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "nowhere.wav, but there is no such file" in line


@pytest.mark.parametrize("option", ["--serve", "--port=1", "--audio-buffer=9", "--ray"])
def test_replay_has_no_options_of_a_server_or_a_cluster(option: str) -> None:
    done = run_here("replay", str(RECORDING), option)
    assert done.returncode == 2
    assert f"expected an option of emostream replay, got {option.partition('=')[0]}" in done.stderr
