"""The architecture: which package imports which, what a plain import costs, what the wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Set
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

import emostream.models
from tests.support.shared import PACKAGES, REPO

TRAINING = "emostream.training"
CLUSTER = "emostream.streamer.cluster"
FRAMEWORKS = {"torch", "transformers", "faster_whisper"}

# docs/adr/0002: what no module of a package may import. streamer/ imports the models by their public names.
FORBIDDEN = {
    "api": {"asyncio", "numpy", "torch", "websockets", "ray"},
    "streamer": {TRAINING, *FRAMEWORKS},
    "models": {"emostream.streamer", TRAINING, "asyncio", "websockets", "sounddevice", "ray"},
    "training": {"emostream.streamer", "ray"},
    "demo": {"emostream"},
    "integrations": {TRAINING, CLUSTER, *FRAMEWORKS, "ray"},
}
# Optional packages, each with the only place that may import it.
OPTIONAL = {"pipecat": "integrations/pipecat", "livekit": "integrations/livekit"}
# The doctor imports torch itself, and only when it runs.
ALLOWED = {("streamer/cli/doctor.py", "torch")}

# Low to high: a package of streamer/ imports only what is named here, its own modules and the base modules.
BASE = {
    "clock",
    "concurrency",
    "config",
    "display_paths",
    "errors",
    "optional_deps",
    "plurals",
    "text_encoding",
}
LAYERS: dict[str, set[str]] = {
    "audio": {"protocol"},
    "protocol": set(),
    "inference": {"protocol", "audio"},
    "speakers": {"protocol", "inference"},
    "client": {"protocol", "audio"},
    "pipeline": {"audio", "protocol", "inference", "speakers"},
    "output": {"audio", "protocol", "inference", "pipeline"},
    "server": {"audio", "protocol", "inference", "speakers", "pipeline", "output"},
    "bench": {"audio", "protocol", "inference", "pipeline", "client", "output", "server"},
    "replay": {"audio", "protocol", "inference", "pipeline", "output", "server"},
    "summary": {"protocol", "output"},
    "comparison": {"protocol", "output", "summary"},
}
MAY_USE_THE_CLUSTER = {"streamer/cli/batch.py", "streamer/cli/serve.py"}
PURE = (
    "streamer/audio/frontend.py",
    "streamer/pipeline/segmenter.py",
    "streamer/protocol/messages.py",
    "streamer/errors.py",
    "streamer/config.py",
)
FORBIDDEN_IN_PURE = {"asyncio", "torch", "websockets", "sounddevice", "emostream.models"}


@cache
def imports(path: Path) -> frozenset[str]:
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
    return frozenset(found)


def touches(imported: Set[str], forbidden: set[str]) -> set[str]:
    return {name for name in imported for ban in forbidden if name == ban or name.startswith(ban + ".")}


def files(package: str) -> list[Path]:
    return sorted((REPO / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    assert files(package)
    broken = {
        (str(path.relative_to(REPO)), name)
        for path in files(package)
        for name in touches(imports(path), FORBIDDEN[package])
    }
    assert broken - ALLOWED == set()


@pytest.mark.parametrize("package", LAYERS)
def test_packages_of_the_streamer_import_downwards(package: str) -> None:
    allowed = {f"emostream.streamer.{name}" for name in LAYERS[package] | BASE | {package}}
    broken = {
        (str(path.relative_to(REPO)), name)
        for path in files(f"streamer/{package}")
        for name in touches(imports(path), {"emostream.streamer"})
        if name != "emostream.streamer" and not touches({name}, allowed)
    }
    assert broken == set()


def test_only_the_cluster_package_imports_ray_and_only_two_commands_import_the_cluster() -> None:
    outside = [path for path in files("streamer") if "cluster" not in path.relative_to(REPO).parts]
    broken = {
        (str(path.relative_to(REPO)), name)
        for path in outside
        for name in touches(imports(path), {"ray", CLUSTER})
    }
    assert {path for path, _ in broken} <= MAY_USE_THE_CLUSTER
    assert touches({name for _, name in broken}, {"ray"}) == set()


@pytest.mark.parametrize("framework", OPTIONAL)
def test_only_its_integration_imports_a_framework(framework: str) -> None:
    importers = {
        path.relative_to(REPO).parent.as_posix()
        for package in PACKAGES
        for path in files(package)
        if touches(imports(path), {framework})
    }
    assert importers == {OPTIONAL[framework]}


def test_nothing_imports_the_integrations() -> None:
    broken = {
        str(path.relative_to(REPO))
        for package in PACKAGES
        if package != "integrations"
        for path in files(package)
        if touches(imports(path), {"emostream.integrations"})
    }
    assert broken == set()


def test_the_core_install_brings_no_framework() -> None:
    """Neither among the dependencies, nor behind an extra of another name."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for framework in OPTIONAL:
        needing = {name for name, needs in extras.items() if any(one.startswith(framework) for one in needs)}
        assert needing == {framework}
        assert not [one for one in project["dependencies"] if one.startswith(framework)]


def test_the_streamer_imports_models_by_their_public_names() -> None:
    """Only names that `emostream.models` itself offers, so that no framework is imported on the way."""
    public = {f"emostream.models.{name}" for name in emostream.models.__all__}
    deeper = {
        str(path.relative_to(REPO))
        for path in files("streamer")
        for name in touches(imports(path), {"emostream.models"}) - public - {"emostream.models"}
    }
    assert deeper == {"streamer/cli/doctor.py"}  # it reports which transcriber would be selected, and why


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_is_pure(module: str) -> None:
    assert touches(imports(REPO / module), FORBIDDEN_IN_PURE) == set()


def test_no_module_has_two_names() -> None:
    """`import models` would make every class of `emostream.models` a second time."""
    bare = {
        (str(path.relative_to(REPO)), name)
        for package in (*PACKAGES, "tests", "benchmarks", "scripts")
        for path in files(package)
        for name in imports(path)
        if name.split(".")[0] in PACKAGES
    }
    assert bare == set()


def test_no_test_imports_another_test() -> None:
    """What tests share is in tests/support."""
    broken = {
        (str(path.relative_to(REPO)), name)
        for path in files("tests")
        for name in imports(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert broken == set()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("emostream.streamer.cli.main", ["torch", "transformers", "faster_whisper", "sounddevice", "ray"]),
        ("emostream.streamer.server.app", ["torch", "transformers", "faster_whisper", "ray"]),
        ("emostream", ["pipecat", "livekit", "numpy", "websockets"]),
        ("emostream.integrations", ["pipecat", "livekit", "numpy", "torch", "emostream.streamer"]),
        ("emostream.models", ["torch", "transformers", "faster_whisper", "pocketsphinx"]),
        ("emostream.streamer.client.connection", ["torch", "numpy", "soxr", "av", "emostream.models"]),
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
