"""The documentation names only what exists: files, functions, links, commands, settings."""

from __future__ import annotations

import ast
import re
import shlex
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest
import typer.main

from emostream.streamer.cli.main import app
from emostream.streamer.config import Settings, load_settings
from emostream.training.experiments.experiment import read_experiment

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])
ADRS = sorted((REPO / "docs" / "adr").glob("*.md"))
ARCHITECTURE = REPO / "docs" / "architecture.md"
FOLDERS = "api|streamer|models|training|demo|integrations|docs|tests|benchmarks|examples|scripts|docker"
PLACE = re.compile(rf"`((?:{FOLDERS})/[\w./-]*|Makefile)(?::([\w.]+))?`")
LINK = re.compile(r"\]\(([^)\s#]+)?(?:#([^)\s]+))?\)")


def name(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def prose(page: Path) -> str:
    """Without code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def heading_anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@lru_cache
def definitions(path: Path) -> frozenset[str]:
    """Functions, classes and module constants as `name`, methods as `Class.name`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return frozenset(re.findall(r"[\w$]+", text))
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):  # https:, mailto:
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in heading_anchors(path)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_files_and_functions_exist(page: Path) -> None:
    missing = []
    for place, symbol in PLACE.findall(prose(page)):
        path = REPO / place
        if not path.exists() or (symbol and symbol not in definitions(path)):
            missing.append(f"{place}:{symbol}" if symbol else place)
    assert missing == []


def test_the_architecture_page_names_functions() -> None:
    places = PLACE.findall(prose(ARCHITECTURE))
    assert len({place for place, _ in places}) > 60
    assert len({symbol for _, symbol in places if symbol}) > 40


def test_every_package_is_on_the_map() -> None:
    text = prose(ARCHITECTURE)
    packages = {
        path.parent.relative_to(REPO).as_posix()
        for folder in ("streamer", "models", "training", "integrations")
        for path in (REPO / folder).rglob("__init__.py")
    }
    assert {package for package in packages if f"`{package}/`" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_settings_exist(page: Path) -> None:
    named = re.findall(r"`(vad|segmenter|live|speaker|server|cluster)\.([a-z]\w+)`", prose(page))
    sections = msgspec.to_builtins(Settings())
    assert [f"{section}.{setting}" for section, setting in named if setting not in sections[section]] == []


def examples(page: str, language: str) -> list[str]:
    text = (REPO / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shell_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every `emostream` command in an example."""
    return [
        (name(page), shlex.split(line, comments=True))
        for page in PAGES
        for block in examples(name(page), "sh")
        for line in block.splitlines()
        if line.startswith("emostream ")
    ]


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(page, words, id=" ".join(words)) for page, words in shell_commands()]
)
def test_example_commands_have_these_options(page: str, words: list[str]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    command = commands[words[1]].load()
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= options, page


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(
        r"^\| `emostream (\w+)", (REPO / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_makefile_has_the_targets_that_the_pages_name() -> None:
    targets = set(re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {found for page in PAGES for found in re.findall(r"`make ([\w-]+)`", prose(page))}
    named |= {
        found
        for page in PAGES
        for block in examples(name(page), "sh")
        for found in re.findall(r"^make ([\w-]+)", block, re.M)
    }
    assert named <= targets


def test_the_example_of_the_settings_page_loads(tmp_path: Path) -> None:
    (example,) = examples("docs/settings.md", "toml")
    path = tmp_path / "emostream.toml"
    path.write_text(example, encoding="utf-8")
    settings = load_settings(path)
    assert settings.segmenter.min_silence_ms == 400
    assert settings.server.allowed_hosts == ("example.org",)


def test_the_experiment_of_the_training_page_is_valid(tmp_path: Path) -> None:
    (example,) = examples("docs/training.md", "toml")
    path = tmp_path / "experiment.toml"
    path.write_text(example, encoding="utf-8")
    experiment = read_experiment(path)
    assert experiment.seeds == (1, 2, 3)


@pytest.mark.parametrize("page", ADRS, ids=name)
def test_an_adr_opens_with_decision_reason_and_cost(page: Path) -> None:
    title, _, rest = page.read_text(encoding="utf-8").partition("\n")
    assert title.startswith(f"# {page.name[:4]} ")
    assert re.match(r"\n- \*\*Decided\*\*: .*?\n- \*\*Why\*\*: .*?\n- \*\*Cost\*\*: .*?\n\n", rest, re.DOTALL)


def test_the_adrs_are_numbered_without_gaps_and_all_in_the_index() -> None:
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))
    index = (REPO / "docs" / "README.md").read_text(encoding="utf-8")
    assert all(f"(adr/{page.name})" in index for page in ADRS)


def test_the_settings_page_lists_every_setting_with_its_default() -> None:
    page = (REPO / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = {}
    for section, table in re.findall(r"^## `\[(\w+)\]`\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE):
        for names, default in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", table, re.MULTILINE):
            for setting in re.findall(r"`(\w+)`", names):
                listed[f"{section}.{setting}"] = default.strip().strip("`")
    real = {
        f"{section}.{setting}": "none" if value is None else msgspec.json.encode(value).decode()
        for section, values in msgspec.to_builtins(Settings()).items()
        for setting, value in values.items()
    }
    assert listed == real
