"""All packages have one version, and each asks for exactly that version of its siblings."""

import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("httpng", "httpng-core", "httpng-lua", "httpng-driver", "httpng-asyncio", "httpng-trio")


def project(package: str) -> dict[str, Any]:
    text = (ROOT / "packages" / package / "pyproject.toml").read_text()
    return dict(tomllib.loads(text)["project"])


def version(package: str) -> str:
    name = package.replace("-", "_")
    text = (ROOT / "packages" / package / "src" / name / "_version.py").read_text()
    (found,) = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    return str(found)


def requirements(package: str) -> list[str]:
    table = project(package)
    extras = table.get("optional-dependencies", {}).values()
    return [*table["dependencies"], *(line for extra in extras for line in extra)]


def test_every_folder_is_a_known_package() -> None:
    folders = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
    assert folders == sorted(PACKAGES)


def test_one_version() -> None:
    assert len({version(package) for package in PACKAGES}) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_siblings_are_pinned_to_it(package: str) -> None:
    siblings = [line for line in requirements(package) if line.startswith("httpng")]
    assert [line for line in siblings if not line.endswith(f"=={version(package)}")] == []
    assert bool(siblings) == (package != "httpng-core")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_version_is_written_once(package: str) -> None:
    assert "version" not in project(package)
    assert project(package)["dynamic"] == ["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_installed_and_imported_version_agree(package: str) -> None:
    module = importlib.import_module(package.replace("-", "_"))
    assert module.__version__ == importlib.metadata.version(package) == version(package)


def name(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement)[0].lower()


OF_THE_APPLICATION = {"quart", "starlette"}
"""Frameworks that `httpng` has a module for each of: who imports that has the framework."""
CALLED = {"nats": "nats-py", "opentelemetry": "opentelemetry-api"}
"""Distributions that aren't called as what they bring."""


@cache
def imported(package: str) -> set[str]:
    """The distributions that the modules of a package import, none of ours or of Python's."""
    found: set[str] = set()
    for path in (ROOT / "packages" / package / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        typing_only = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for statement in node.body
            for inner in ast.walk(statement)
        }
        for node in set(ast.walk(tree)) - typing_only:
            found |= {one.partition(".")[0] for one in imported_by(node)}
    found = {top for top in found - sys.stdlib_module_names if not top.startswith("httpng")}
    return {CALLED.get(top, top) for top in found}


def imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [] if node.level else [node.module or ""]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "find_spec")):
        return re.findall(r"^f?'(\w+)", ast.unparse(node.args[0]))
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_imports_it_or_its_siblings_declare(package: str) -> None:
    below = {name(line) for line in requirements(package)} & set(PACKAGES)
    declared = {name(line) for one in {package, *below} for line in requirements(one)}
    assert imported(package) - OF_THE_APPLICATION <= declared


def test_there_is_no_extra_of_which_nothing_is_used() -> None:
    for package in PACKAGES:
        for extra, lines in project(package).get("optional-dependencies", {}).items():
            names = {name(line) for line in lines}
            used = imported(package) | set(PACKAGES)
            assert names <= used, f"{package}[{extra}]"


def test_core_alone_brings_what_speaks_http_and_no_version_of_it_that_is_yet_to_come() -> None:
    lines = {name(line): line for line in project("httpng-core")["dependencies"]}
    assert lines.keys() == {"h11", "h2", "hpack", "hyperframe"}
    assert [line for line in lines.values() if not re.search(r",<\d+$", line)] == []


def test_every_dependency_has_a_pinned_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"].values()
    wanted = [line for package in PACKAGES for line in requirements(package)]
    wanted += [line for group in groups for line in group]
    names = {name(line) for line in wanted}
    assert {one for one in names if not one.startswith("httpng")} <= pinned
