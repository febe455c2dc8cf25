"""Mistakes in a command line are one line: what was expected, what came, where help is."""

from __future__ import annotations

import pytest

from tests.support.programs import run_here


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "batch x.wav --out d",
            "expected an option of emostream batch, got --out (did you mean --output-dir or --format?); "
            "see emostream batch --help",
        ),
        (
            "serve --prot 1",
            "expected an option of emostream serve, got --prot (did you mean --port or --host?); see "
            "emostream serve --help",
        ),
        ("replay", "expected FILES, got nothing; see emostream replay --help"),
        (
            "replay x.wav --jobs x",
            "expected a whole number of at least 1 for --jobs, got 'x'; see emostream replay --help",
        ),
        (
            "replay x.wav -j=x",
            "expected a whole number of at least 1 for --jobs, got 'x'; see emostream replay --help",
        ),
        (
            "replay x.wav --jobs 0",
            "expected a whole number of at least 1 for --jobs, got '0'; see emostream replay --help",
        ),
        (
            "bench latency --seconds x",
            "expected a number of at least 5 for --seconds, got 'x'; see emostream bench latency --help",
        ),
        ("serve --vad x", "expected webrtc, silero for --vad, got 'x'; see emostream serve --help"),
        (
            "repaly x.wav",
            "expected a command of emostream, got repaly (did you mean replay?); see emostream --help",
        ),
        ("bench nothing", "expected a command of emostream bench, got nothing; see emostream bench --help"),
        ("speakers a b", "got unexpected extra argument(s) (a b); see emostream speakers --help"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, line: str) -> None:
    done = run_here(*arguments.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"emostream: {line}\n")


@pytest.mark.parametrize("arguments", [(), ("bench",)])
def test_a_group_without_a_command_prints_its_help(arguments: tuple[str, ...]) -> None:
    done = run_here(*arguments)
    assert done.returncode == 2
    assert "Usage: emostream" in done.stdout + done.stderr
    assert "expected" not in done.stderr
