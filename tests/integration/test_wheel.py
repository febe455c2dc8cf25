"""The built wheel: it holds the tree and nothing else, and runs where it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.shared import PACKAGES, REPO


def wanted_in_wheel() -> set[str]:
    data = {
        ".py",
        ".html",
        ".css",
        ".js",
        ".ts",
        ".svg",
        ".ogg",
        ".md",
        ".json",
        ".csv",
        ".safetensors",
        ".onnx",
        ".toml",
    }
    return {
        "emostream/" + path.relative_to(REPO).as_posix().removeprefix("api/")
        for package in PACKAGES
        for path in (REPO / package).rglob("*")
        if path.is_file() and path.suffix in data | {".typed"} and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a clean copy, so that nothing from build/ is included."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        source = REPO / name
        if source.is_file() and (name.split("/")[0] in PACKAGES or "/" not in name):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(source.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, tree],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    assert held == wanted_in_wheel()
    assert "License-Expression: Apache-2.0 AND CC-BY-NC-SA-4.0" in metadata


def test_the_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere and first on the path, it replays the bundled recording without the source tree."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib.resources import files\n"
        "recording = str(files('emostream.demo') / 'recording.ogg')\n"
        "sys.argv = ['emostream', 'replay', recording, '--asr', 'none']\n"
        "from emostream.streamer.cli import main\n"
        "assert main.__file__.startswith(sys.path[0]), main.__file__\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"final":true') >= 4
