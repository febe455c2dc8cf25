"""The built wheel and sdist: they hold the tree and nothing else, a package index would take them, and the
wheel runs where it is installed. The version is that of the tag.
"""

from __future__ import annotations

import re
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
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both. The sdist is built from a clean copy, so that nothing from build/ is included, and
    the wheel from the sdist.
    """
    folder = tmp_path_factory.mktemp("dist")
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
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, tree],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


def test_a_package_index_takes_them(dist: Path) -> None:
    files = sorted(dist.glob("emostream-*"))
    assert [file.suffix for file in files] == [".whl", ".gz"]
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout


def test_the_version_is_that_of_the_tag(tmp_path: Path) -> None:
    """And without a tag, and without git, there is one too."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=Anna", "-c", "user.email=anna@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def version() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "setuptools_scm"], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    (tmp_path / "pyproject.toml").write_bytes((REPO / "pyproject.toml").read_bytes())
    assert version() == "0.1.0.dev0"
    git("init")
    git("add", ".")
    git("commit", "-m", "First")
    assert re.fullmatch(r"0\.1(\.0)?\.dev1\+g[0-9a-f]+(\.d\d+)?", version())
    git("tag", "v1.2.3")
    assert version() == "1.2.3"
    git("commit", "--allow-empty", "-m", "Second")
    assert version().startswith("1.2.4.dev1+g")


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
