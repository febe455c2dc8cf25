"""Models in installed packages: found without an import, never used with a wrong hash, joined once."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emostream.models import TranscriberError
from emostream.models.transcription.hub import missing_files
from emostream.models.transcription.packaged_whisper import (
    PACKAGED_WHISPER,
    PackagedFile,
    find_packaged_whisper,
)
from tests.support.shared import REPO

FIRST, SECOND = b"first half " * 1_000, b"second half"
CONFIG = b"{}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


MODELS = {
    "whole": (
        PackagedFile("model.bin", (("fake-whole", "fake_whole/model/model.bin"),), sha256(FIRST)),
        PackagedFile("config.json", (("fake-whole", "fake_whole/model/config.json"),), sha256(CONFIG)),
    ),
    "halves": (
        PackagedFile(
            "model.bin",
            (("fake-half-1", "fake_half_1/part1"), ("fake-half-2", "fake_half_2/part2")),
            sha256(FIRST + SECOND),
        ),
        PackagedFile("config.json", (("fake-half-2", "fake_half_2/config.json"),), sha256(CONFIG)),
    ),
}


def install(site: Path, distribution: str, files: Mapping[str, bytes]) -> None:
    """A package in `site`, as pip leaves it; importing it fails."""
    package = distribution.replace("-", "_")
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    for path, content in {f"{package}/__init__.py": b"raise RuntimeError('imported')", **files}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """site-packages with both models."""
    site = tmp_path / "site"
    install(site, "fake-whole", {"fake_whole/model/model.bin": FIRST, "fake_whole/model/config.json": CONFIG})
    install(site, "fake-half-1", {"fake_half_1/part1": FIRST})
    install(site, "fake-half-2", {"fake_half_2/part2": SECOND, "fake_half_2/config.json": CONFIG})
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for joined models, which does not exist yet."""
    cache = tmp_path / "assets"
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(cache))
    return cache


def test_a_model_in_one_package_is_used_in_place(site: Path, cache: Path) -> None:
    assert find_packaged_whisper("whole", MODELS) == site / "fake_whole" / "model"
    assert not cache.exists()
    assert not any(name.startswith("fake_") for name in sys.modules)


def test_a_model_in_two_packages_is_joined_in_the_cache(site: Path, cache: Path) -> None:
    folder = find_packaged_whisper("halves", MODELS)
    assert folder is not None
    assert folder.is_relative_to(cache)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.bin"]
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND
    assert (folder / "config.json").read_bytes() == CONFIG


def test_it_is_joined_once(site: Path, cache: Path) -> None:
    folder = find_packaged_whisper("halves", MODELS)
    assert folder is not None
    before = (folder / "model.bin").stat()
    assert find_packaged_whisper("halves", MODELS) == folder
    after = (folder / "model.bin").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_joined_file_that_was_changed_is_made_again(site: Path, cache: Path) -> None:
    folder = find_packaged_whisper("halves", MODELS)
    assert folder is not None
    model = folder / "model.bin"
    stamp = model.stat()
    model.write_bytes(b"X" + (FIRST + SECOND)[1:])
    os.utime(model, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as long and as old as before
    find_packaged_whisper("halves", MODELS)
    assert model.read_bytes() == FIRST + SECOND


@pytest.mark.parametrize("package", ["fake_half_1", "fake_half_2"])
def test_half_a_model_is_none(site: Path, cache: Path, package: str) -> None:
    (site / f"{package}-1.0.dist-info").rename(site / "gone")
    assert find_packaged_whisper("halves", MODELS) is None
    assert not cache.exists()


def test_a_model_that_no_package_holds_is_none(site: Path) -> None:
    assert find_packaged_whisper("large-v3", MODELS) is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("whole", "fake_whole/model/model.bin"),
        ("whole", "fake_whole/model/config.json"),
        ("halves", "fake_half_1/part1"),
        ("halves", "fake_half_2/part2"),
        ("halves", "fake_half_2/config.json"),
    ],
)
def test_a_wrong_hash_is_one_line_and_leaves_nothing(site: Path, cache: Path, name: str, path: str) -> None:
    content = (site / path).read_bytes()
    (site / path).write_bytes(content[:-1] + b"!")
    with pytest.raises(TranscriberError, match=r"with the SHA-256 .*, got .*pip install .*fake-") as caught:
        find_packaged_whisper(name, MODELS)
    assert "\n" not in str(caught.value)
    assert [file for file in cache.rglob("*") if file.name.startswith(Path(path).stem)] == []
    assert not list(cache.rglob("*.part"))


def test_a_package_that_lost_a_file_is_one_line(site: Path, cache: Path) -> None:
    (site / "fake_half_2" / "part2").unlink()
    with pytest.raises(
        TranscriberError, match=r"expected model\.bin of Whisper halves at .*part2, got: No such"
    ):
        find_packaged_whisper("halves", MODELS)


def test_a_full_disk_is_one_line(site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkstemp", full)
    with pytest.raises(TranscriberError, match=r"join .* below .*No space left.* free some space .* HF_HOME"):
        find_packaged_whisper("halves", MODELS)


def test_a_cache_that_cannot_be_made_is_one_line(site: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(TranscriberError, match="set HF_HOME to a folder that can be written") as caught:
        find_packaged_whisper("halves", MODELS)
    assert "\n" not in str(caught.value)


def test_a_write_that_fails_halfway_leaves_nothing(
    site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        find_packaged_whisper("halves", MODELS)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_two_that_join_at_once_get_the_same_model(
    site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have written all of a file before either renames it."""
    both_written = threading.Barrier(2)
    rename = Path.replace

    def wait_and_rename(part: Path, target: Path) -> Path:
        both_written.wait()
        return rename(part, target)

    monkeypatch.setattr(Path, "replace", wait_and_rename)
    with ThreadPoolExecutor(2) as threads:
        folders = list(threads.map(lambda _: find_packaged_whisper("halves", MODELS), range(2)))
    assert folders[0] == folders[1]
    assert folders[0] is not None
    assert (folders[0] / "model.bin").read_bytes() == FIRST + SECOND
    assert len([file for file in cache.rglob("*") if file.is_file()]) == 2


@pytest.mark.parametrize("name", PACKAGED_WHISPER)
def test_the_real_models_are_complete_folders(name: str, tmp_path: Path) -> None:
    for file in PACKAGED_WHISPER[name]:
        (tmp_path / file.name).touch()
        assert len(bytes.fromhex(file.sha256)) == 32
    assert missing_files(tmp_path) == ()


def test_the_extra_names_every_package_in_one_version() -> None:
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = {requirement.partition("==")[0] for requirement in extras["whisper"] if "==" in requirement}
    pieces = (piece for files in PACKAGED_WHISPER.values() for file in files for piece in file.pieces)
    assert pinned == {package for package, _ in pieces}
    assert len(extras["whisper"]) == len(pinned)
