"""The choice of a transcriber: cache, packages, the hub, then PocketSphinx with one warning."""

from __future__ import annotations

import http.server
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from huggingface_hub import constants

from emostream.models import Clip, PretrainedTranscriber, Transcriber, Transcript, load_transcriber
from emostream.models.errors import DeviceError, TranscriberError
from emostream.models.transcription import factory
from emostream.models.transcription.factory import create_transcriber
from emostream.models.transcription.hub import (
    download_whisper,
    find_cached_whisper,
    is_hub_reachable,
    missing_files,
    whisper_repositories,
)
from tests.support.tiny_whisper import make_tiny_whisper


@dataclass
class Loaded:
    """A fake transcriber that records what it was loaded from."""

    name: str
    folder: Path | None = None
    source: str | None = None

    def transcribe(self, clips: list[Clip]) -> list[Transcript]:
        return [Transcript("") for _ in clips]


@dataclass
class FakeSources:
    """A cache, packages and a hub of one's own; `requests` lists what was used, in order."""

    cache: dict[str, Path] = field(default_factory=dict)
    packages: dict[str, Path] = field(default_factory=dict)
    forged: bool = False
    hub_answers: bool = False
    damaged: set[Path] = field(default_factory=set)
    sphinx_installed: bool = True
    requests: list[str] = field(default_factory=list)

    def cached(self, name: str) -> Path | None:
        self.requests.append(f"cache {name}")
        return self.cache.get(name)

    def packaged(self, name: str) -> Path | None:
        self.requests.append(f"package {name}")
        if self.forged:
            raise TranscriberError("expected model.bin with another SHA-256")
        return self.packages.get(name)

    def probe(self) -> bool:
        self.requests.append("hub")
        return self.hub_answers

    def fetch(self, name: str) -> Path:
        self.requests.append(f"fetch {name}")
        return Path("fetched") / name

    def whisper(self, folder: Path, label: str, source: str, *_: object) -> Transcriber:
        if folder in self.damaged:
            raise TranscriberError("model.bin is damaged")
        return Loaded(f"whisper {label}", folder, source)  # type: ignore[return-value]

    def sphinx(self) -> Transcriber:
        return Loaded("pocketsphinx")  # type: ignore[return-value]


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> FakeSources:
    sources = FakeSources()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    monkeypatch.setattr(factory, "find_cached_whisper", sources.cached)
    monkeypatch.setattr(factory, "find_packaged_whisper", sources.packaged)
    monkeypatch.setattr(factory, "is_hub_reachable", sources.probe)
    monkeypatch.setattr(factory, "is_pocketsphinx_installed", lambda: sources.sphinx_installed)
    monkeypatch.setattr(factory, "download_whisper", sources.fetch)
    monkeypatch.setattr(factory, "_load_whisper", sources.whisper)
    monkeypatch.setattr(factory, "_load_sphinx", sources.sphinx)
    return sources


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="emostream")
    return caplog


def chosen(name: str, **options: str) -> Loaded:
    return cast("Loaded", create_transcriber(name, **options))  # type: ignore[arg-type]


def test_auto_uses_the_cached_model_without_the_hub(
    sources: FakeSources, warnings: pytest.LogCaptureFixture
) -> None:
    sources.cache = {"base": Path("cached"), "tiny.en": Path("cached too")}
    assert chosen("auto") == Loaded("whisper base", Path("cached"), "local cache")
    assert sources.requests == ["cache base"]
    assert not warnings.records


EVERYWHERE_LOCAL = ["cache base", "package base", "cache tiny.en", "package tiny.en"]


@pytest.mark.parametrize(
    ("cache", "packages", "name", "source", "requests"),
    [
        ([], ["base", "tiny.en"], "base", "installed package", 2),
        (["tiny.en"], ["base"], "base", "installed package", 2),
        (["tiny.en"], ["tiny.en"], "tiny.en", "local cache", 3),
        ([], ["tiny.en"], "tiny.en", "installed package", 4),
    ],
)
def test_auto_takes_base_before_tiny_and_the_cache_before_a_package(
    sources: FakeSources,
    warnings: pytest.LogCaptureFixture,
    cache: list[str],
    packages: list[str],
    name: str,
    source: str,
    requests: int,
) -> None:
    sources.cache = {one: Path("cached") for one in cache}
    sources.packages = {one: Path("packaged") for one in packages}
    taken = chosen("auto")
    assert (taken.name, taken.source) == (f"whisper {name}", source)
    assert sources.requests == EVERYWHERE_LOCAL[:requests]
    assert not warnings.records


def test_auto_fetches_where_the_hub_answers(sources: FakeSources, warnings: pytest.LogCaptureFixture) -> None:
    sources.hub_answers = True
    assert chosen("auto") == Loaded("whisper base", Path("fetched/base"), "model hub")
    assert sources.requests == [*EVERYWHERE_LOCAL, "hub", "fetch base"]
    assert not warnings.records


def test_auto_falls_back_with_one_warning(sources: FakeSources, warnings: pytest.LogCaptureFixture) -> None:
    assert chosen("auto").name == "pocketsphinx"
    assert sources.requests == [*EVERYWHERE_LOCAL, "hub"]
    (message,) = warnings.messages
    assert message.startswith("Falling back to PocketSphinx")
    assert "expected Whisper base" in message
    assert "hub is unreachable" in message
    assert "connect to the network once" in message
    assert "install emostream[whisper]" in message


def test_without_pocketsphinx_auto_gives_no_words_with_one_warning(
    sources: FakeSources, warnings: pytest.LogCaptureFixture
) -> None:
    sources.sphinx_installed = False
    assert create_transcriber("auto") is None
    (message,) = warnings.messages
    assert message.startswith("There will be no words")
    assert "install emostream[whisper]" in message


def test_a_damaged_copy_is_skipped_with_a_line(
    sources: FakeSources, warnings: pytest.LogCaptureFixture
) -> None:
    sources.cache, sources.damaged = {"base": Path("cached")}, {Path("cached")}
    sources.packages = {"base": Path("packaged")}
    assert chosen("auto") == Loaded("whisper base", Path("packaged"), "installed package")
    (message,) = warnings.messages
    assert message == "Whisper base from the local cache is not used: model.bin is damaged"


def test_a_forged_package_is_skipped_with_a_line(
    sources: FakeSources, warnings: pytest.LogCaptureFixture
) -> None:
    sources.forged, sources.cache = True, {"tiny.en": Path("cached")}
    assert chosen("auto").name == "whisper tiny.en"
    (message,) = warnings.messages
    assert message.startswith("Whisper base from the installed package is not used: expected model.bin")


def test_a_named_model_comes_from_a_package_too(sources: FakeSources) -> None:
    sources.packages = {"tiny.en": Path("packaged")}
    assert chosen("tiny.en") == Loaded("whisper tiny.en", Path("packaged"), "installed package")
    assert sources.requests == ["cache tiny.en", "package tiny.en"]


@pytest.mark.parametrize("name", ["auto", "small"])
def test_a_missing_device_is_reported_before_any_download(sources: FakeSources, name: str) -> None:
    sources.hub_answers = True
    with pytest.raises(DeviceError):
        create_transcriber(name, device="cuda")
    assert sources.requests == []


def test_none_gives_no_transcriber(sources: FakeSources) -> None:
    assert create_transcriber("none") is None
    assert load_transcriber("none") is None
    assert sources.requests == []


def test_pocketsphinx_by_name(sources: FakeSources) -> None:
    assert chosen("pocketsphinx").name == "pocketsphinx"
    assert sources.requests == []


def test_an_unavailable_known_name_is_an_error_with_advice(sources: FakeSources) -> None:
    with pytest.raises(TranscriberError, match=r"expected Whisper small, .* connect .* or name a .*folder"):
        create_transcriber("small")


def test_offline_mode_is_given_as_the_reason(sources: FakeSources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TranscriberError, match="HF_HUB_OFFLINE forbids"):
        create_transcriber("small")


def test_an_unknown_name_lists_the_known_ones(sources: FakeSources) -> None:
    with pytest.raises(TranscriberError, match="got 'tny'") as caught:
        create_transcriber("tny")
    for known in ("auto", "none", "pocketsphinx", "tiny.en", "large-v3"):
        assert known in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sources.requests == []


def test_a_folder_is_loaded(sources: FakeSources, tmp_path: Path) -> None:
    folder = tmp_path / "faster-whisper-mine"
    folder.mkdir()
    assert chosen(str(folder)) == Loaded("whisper mine", folder, "folder")


def test_a_path_that_is_no_folder_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(TranscriberError, match=r"found none at .*nowhere"):
        create_transcriber(str(tmp_path / "nowhere"))
    with pytest.raises(TranscriberError, match=r"lacks model\.bin, config\.json"):
        create_transcriber(str(tmp_path))


# The cache, in a folder of huggingface_hub's own layout.


def cache_model(cache: Path, name: str, *, without: str = "") -> Path:
    repository = cache / ("models--" + whisper_repositories()[name].replace("/", "--"))
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    for file in {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"} - {without}:
        (snapshot / file).write_text("")
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_an_empty_cache(cache: Path) -> None:
    assert find_cached_whisper("tiny.en") is None


def test_a_model_in_the_cache_is_found(cache: Path) -> None:
    snapshot = cache_model(cache, "tiny.en")
    assert find_cached_whisper("tiny.en") == snapshot
    assert find_cached_whisper("tiny") is None


def test_an_interrupted_download_is_not_found(cache: Path) -> None:
    snapshot = cache_model(cache, "tiny.en", without="model.bin")
    assert find_cached_whisper("tiny.en") is None
    assert missing_files(snapshot) == ("model.bin",)


def test_a_model_in_the_cache_is_loaded_under_its_name(cache: Path, tmp_path: Path) -> None:
    snapshot = cache_model(cache, "base.en")
    made = make_tiny_whisper(tmp_path / "made")
    for file in made.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (snapshot / "vocabulary.txt").unlink()
    transcriber = create_transcriber("base.en", device="cpu", cpu_threads=1)
    assert transcriber is not None
    assert transcriber.name == "whisper base.en (int8, cpu)"
    assert isinstance(transcriber, PretrainedTranscriber)
    assert transcriber.source == "local cache"


# The hub, in this process or unreachable.


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A hub on loopback; the list holds the status it answers with."""
    status = [200]

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield status
        server.shutdown()


def test_a_hub_that_responds_is_reachable(hub: list[int]) -> None:
    assert is_hub_reachable()


def test_a_hub_that_responds_with_errors_is_unreachable(hub: list[int]) -> None:
    hub[0] = 503
    assert not is_hub_reachable()


def test_offline_mode_sends_no_request(hub: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not is_hub_reachable()


def test_an_address_without_a_server_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for address in (f"http://127.0.0.1:{port}", "not an address"):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert not is_hub_reachable()


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait()
        raise TimeoutError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("emostream.models.transcription.hub.urllib.request.urlopen", hang)
    assert not is_hub_reachable(timeout_s=0.05)
    released.set()


def test_a_failed_download_is_reported_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("the line went dead\nTraceback and so on")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(TranscriberError, match=r"could not be downloaded .*the line went dead") as caught:
        download_whisper("tiny.en")
    assert "\n" not in str(caught.value)


def test_a_download_requests_the_files_that_the_loader_needs(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(repository: str, *, allow_patterns: list[str]) -> str:
        assert repository == whisper_repositories()["tiny.en"]
        assert {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"} <= set(allow_patterns)
        return str(cache_model(cache, "tiny.en", without="tokenizer.json"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(TranscriberError, match=r"lacks tokenizer\.json"):
        download_whisper("tiny.en")


def test_the_public_module_imports_no_framework() -> None:
    heavy = {"torch", "transformers", "faster_whisper", "ctranslate2", "pocketsphinx", "huggingface_hub"}
    program = "import sys, emostream.models\n"
    program += "from emostream.models.transcription import factory, hub\n"
    program += f"print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
