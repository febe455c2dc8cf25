"""Places that results cannot go to are told before anything is loaded: the models would take seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cli import live, replay
from emostream.streamer.cli.main import run
from tests.support.wav_file import write_speech


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("the models were loaded")

    monkeypatch.setattr(replay, "load_engine", load)
    monkeypatch.setattr(live, "load_engine_behind_page", load)
    return write_speech(tmp_path / "in" / "a.wav", 1, ms=100)


def stderr_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 2
    return capsys.readouterr().err


def test_outputs_that_cannot_be_written(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for command in (["replay", str(recording)], ["live", "--file", str(recording)]):
        assert "Is a directory" in stderr_of([*command, "-o", str(tmp_path)], capsys)
        assert "No such file" in stderr_of([*command, "-o", str(tmp_path / "none" / "r.jsonl")], capsys)
        assert "expected --output to be a new file" in stderr_of([*command, "-o", str(recording)], capsys)
    for option in ("--output-dir", "--plot"):
        message = stderr_of(["replay", str(recording), option, str(tmp_path / "file")], capsys)
        assert f"choose another {option}" in message
    assert "nothing.jsonl" not in [path.name for path in tmp_path.iterdir()]


def test_options_that_exclude_each_other(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = stderr_of(["replay", str(recording), "--beside", "--output-dir", "x"], capsys)
    assert "got --output-dir and --beside; leave one out" in message
    assert "expected a format for programs with --beside" in stderr_of(
        ["replay", str(recording), "--beside", "--format", "text"], capsys
    )


def test_what_is_beside_a_recording_is_not_replaced(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subtitles = recording.with_suffix(".srt")
    subtitles.write_text("somebody's work")
    message = stderr_of(["replay", str(recording), "--beside", "--format", "srt"], capsys)
    assert "skip their recordings with --resume" in message
    assert subtitles.read_text() == "somebody's work"


@pytest.mark.parametrize("command", ["replay", "client"])
def test_an_address_is_one_line_that_says_how(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = stderr_of([command, "https://example.org/a.wav"], capsys)
    assert "emostream replay -" in message
    assert message.count("\n") == 1
