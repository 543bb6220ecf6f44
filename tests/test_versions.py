"""All packages have one version, and each asks for exactly that version of its siblings."""

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("httpng-core", "httpng-lua", "httpng-driver", "httpng-asyncio", "httpng-trio")


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


def test_core_alone_brings_h11_and_h2_only() -> None:
    names = {re.split(r"[^\w-]", line)[0] for line in project("httpng-core")["dependencies"]}
    assert names == {"h11", "h2"}


def test_every_dependency_has_a_pinned_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"].values()
    wanted = [line for package in PACKAGES for line in requirements(package)]
    wanted += [line for group in groups for line in group]
    names = {re.split(r"[^\w-]", line)[0].lower() for line in wanted}
    assert {name for name in names if not name.startswith("httpng")} <= pinned
