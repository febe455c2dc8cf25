"""The documentation names only what exists: files, functions, links, settings; each ADR opens with its decision."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest

from emostream.streamer.config import Settings

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])
ADRS = sorted((REPO / "docs" / "adr").glob("*.md"))
ARCHITECTURE = REPO / "docs" / "architecture.md"
FOLDERS = "streamer|models|training|demo|docs|tests|benchmarks|examples|scripts|docker"
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
def test_its_links_resolve(page: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):  # https:, mailto:
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in heading_anchors(path)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_files_and_functions_it_names_exist(page: Path) -> None:
    missing = []
    for place, symbol in PLACE.findall(prose(page)):
        path = REPO / place
        if not path.exists() or (symbol and symbol not in definitions(path)):
            missing.append(f"{place}:{symbol}" if symbol else place)
    assert missing == []


def test_the_architecture_page_names_many() -> None:
    places = PLACE.findall(prose(ARCHITECTURE))
    assert len({place for place, _ in places}) > 60
    assert len({symbol for _, symbol in places if symbol}) > 40


def test_every_package_is_on_the_map() -> None:
    text = prose(ARCHITECTURE)
    packages = {
        path.parent.relative_to(REPO).as_posix()
        for folder in ("streamer", "models", "training")
        for path in (REPO / folder).rglob("__init__.py")
    }
    assert {package for package in packages if f"`{package}/`" not in text} == set()


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
