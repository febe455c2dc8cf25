"""The house rules: who may import whom, what a plain import costs, what the wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

from .shared import REPO

PACKAGES = ("api", "streamer", "models", "training", "cluster", "demo")

# docs/adr/0002-who-imports-whom.md
FORBIDDEN = {
    "api": {"asyncio", "numpy", "torch", "websockets", "ray"},
    "streamer": {"emostream.training", "emostream.cluster", "ray", "torch", "transformers", "faster_whisper"},
    "models": {
        "emostream.streamer",
        "emostream.training",
        "emostream.cluster",
        "asyncio",
        "websockets",
        "sounddevice",
        "ray",
    },
    "training": {"emostream.streamer", "emostream.cluster", "ray"},
    "cluster": {"emostream.training", "torch", "transformers", "faster_whisper"},
    "demo": {"emostream.streamer", "emostream.models", "emostream.training", "emostream.cluster"},
}
PURE = ("audio", "vad", "segmenter", "events", "errors", "config")
FORBIDDEN_IN_PURE = {"asyncio", "torch", "websockets", "sounddevice", "emostream.models"}
# The doctor looks at torch itself, and only when it is asked to; two commands go to the cluster when they
# are told to.
ALLOWED = {("streamer/commands/doctor.py", "torch")}
GO_TO_THE_CLUSTER = ("streamer/commands/replay_ray.py", "streamer/commands/serve.py")


def imports(path: Path) -> set[str]:
    """Absolute names that a file imports anywhere; relative ones resolved to `emostream.*`."""
    package = ["emostream", *path.relative_to(REPO).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def touches(imported: set[str], forbidden: set[str]) -> set[str]:
    return {name for name in imported for ban in forbidden if name == ban or name.startswith(ban + ".")}


def files(package: str) -> list[Path]:
    return sorted((REPO / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_who_may_import_whom(package: str) -> None:
    assert files(package)
    broken = {
        (str(path.relative_to(REPO)), name)
        for path in files(package)
        for name in touches(imports(path), FORBIDDEN[package])
    }
    broken = {(path, name) for path, name in broken if not _is_told_to(path, name)}
    assert broken - ALLOWED == set()


def _is_told_to(path: str, name: str) -> bool:
    return path in GO_TO_THE_CLUSTER and name.startswith("emostream.cluster")


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_is_pure(module: str) -> None:
    assert touches(imports(REPO / "streamer" / f"{module}.py"), FORBIDDEN_IN_PURE) == set()


def test_no_module_goes_by_two_names() -> None:
    """`import models` would make every class of `emostream.models` a second time."""
    bare = {
        (str(path.relative_to(REPO)), name)
        for package in (*PACKAGES, "tests", "benchmarks", "scripts")
        for path in files(package)
        for name in imports(path)
        if name.split(".")[0] in PACKAGES
    }
    assert bare == set()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("emostream.streamer.cli", ["torch", "transformers", "faster_whisper", "sounddevice", "ray"]),
        ("emostream.streamer.server", ["torch", "transformers", "faster_whisper", "ray"]),
        ("emostream.models", ["torch", "transformers", "faster_whisper", "pocketsphinx"]),
        ("emostream.streamer.client", ["torch", "numpy", "soxr", "av", "emostream.models"]),
    ],
)
def test_a_plain_import_is_light(module: str, heavy: list[str]) -> None:
    probe = f"import sys, {module}; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_tests_run_on_the_installed_package() -> None:
    assert distribution("emostream").version
    spec = find_spec("emostream")
    assert spec is not None
    assert spec.origin is not None
    assert not (REPO / "emostream").exists()


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
    """Built from a clean copy: what lies in build/ must not slip in."""
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
    """Unpacked elsewhere and found first, it plays the bundled recording without the tree."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib.resources import files\n"
        "recording = str(files('emostream.demo') / 'recording.ogg')\n"
        "sys.argv = ['emostream', 'replay', recording, '--asr', 'none']\n"
        "from emostream.streamer import cli; assert cli.__file__.startswith(sys.path[0]), cli.__file__\n"
        "cli.main()\n"
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
