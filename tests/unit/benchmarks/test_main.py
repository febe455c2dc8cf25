"""`python -m benchmarks`: what is written, what is kept, and the exit status."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.suite.parts import Failure, Figure, Page, Part, Section, Setup
from benchmarks.suite.sections import SECTIONS as ALL

SECTIONS = (
    Section("help", "Help", "x:y", 1.0, 1.0, ("help",)),
    Section("silence", "A silent stream", "x:y", 1.0, 1.0, ("silence",)),
    Section("models", "Models", "x:y", 1.0, 1.0),
    Section("scaling", "Past one machine", "x:y", 1.0, 1.0, in_suite=False),
)


class Runs:
    """Measures a section without measuring; those named in `failing` fail, `stop` is interrupted."""

    def __init__(self, *, failing: str = "", stop: str = "") -> None:
        self.names: list[str] = []
        self.setups: list[Setup] = []
        self._failing, self._stop = failing, stop

    def __call__(self, section: Section, setup: Setup) -> Iterator[Part | None]:
        self.names.append(section.name)
        self.setups.append(setup)
        if section.name == self._stop:
            raise KeyboardInterrupt
        yield f"text of {section.name}\n"
        if section.name == self._failing:
            yield Failure("it broke")
            return
        for key in section.targets:
            yield Figure(key, 0.2)
        if section.name == "models":
            yield Page("model.md", "the page\n")


def bench(folder: Path, runs: Runs, *arguments: str, commit: str = "abc") -> int:
    stamp = f"2026-11-30 at commit {commit}, some CPU"
    return main(arguments, folder=folder, sections=SECTIONS, run=runs, stamp=lambda: stamp)


def test_everything_but_what_is_beside_the_suite_is_measured_and_written(tmp_path: Path) -> None:
    runs = Runs()
    assert bench(tmp_path, runs) == 0
    assert runs.names == ["help", "silence", "models"]
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert all(f"text of {name}" in text for name in runs.names)
    assert "All that `make bench` measures is of commit abc." in text
    assert (tmp_path / "model.md").read_text(encoding="utf-8") == "the page\n"


def test_one_section_replaces_its_own_part(tmp_path: Path) -> None:
    bench(tmp_path, Runs())
    assert bench(tmp_path, Runs(), "--only", "silence", commit="def") == 0
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "is of commit abc, but for A silent stream (def)." in text
    assert text.count("at commit def") == 1
    assert text.count("at commit abc") == 2


def test_a_section_is_told_what_was_measured_last(tmp_path: Path) -> None:
    bench(tmp_path, Runs())
    runs = Runs()
    bench(tmp_path, runs)
    assert runs.setups[0].before == {"help": 0.2, "silence": 0.2}


def test_a_failure_is_said_in_its_place_and_the_exit_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(failing="help")
    assert bench(tmp_path, runs) == 1
    assert runs.names == ["help", "silence", "models"]
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "text of help\n\n**Not measured**: it broke\n\n## A silent stream" in text
    assert "text of silence" in text
    assert "not measured, wholly or in part: help" in capsys.readouterr().err


def test_a_page_stays_where_its_section_fails(tmp_path: Path) -> None:
    bench(tmp_path, Runs())
    assert bench(tmp_path, Runs(failing="models")) == 1
    assert (tmp_path / "model.md").read_text(encoding="utf-8") == "the page\n"


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    assert bench(tmp_path, Runs(stop="silence")) == 130
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "text of help" in text
    assert "is of commit abc, but for A silent stream (not measured), Models (not measured)." in text


def test_a_smoke_run_prints_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = Runs()
    assert bench(tmp_path, runs, "--smoke") == 0
    assert all(setup.smoke for setup in runs.setups)
    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().out
    assert "text of silence" in printed
    assert "the page" in printed
    assert "reached" not in printed  # nothing so short says anything of a target


def test_a_smoke_run_fails_too(tmp_path: Path) -> None:
    assert bench(tmp_path, Runs(failing="help"), "--smoke") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speech", "/nowhere"], "expected a folder of recordings at /nowhere, found none"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        bench(tmp_path, Runs(), *arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_the_sections_exist_and_the_suite_takes_less_than_half_an_hour() -> None:
    modules = [section.measure.removesuffix(":measure") for section in ALL]
    for module in modules:
        found = importlib.util.find_spec(module)
        assert found is not None
        assert found.origin is not None
        assert "\ndef measure(setup: Setup) -> Iterator[Part]:" in Path(found.origin).read_text(
            encoding="utf-8"
        )
    suite = [section for section in ALL if section.in_suite]
    assert sum(section.expected_s(smoke=False) for section in suite) <= 28 * 60
    assert sum(section.expected_s(smoke=True) for section in suite) <= 75
