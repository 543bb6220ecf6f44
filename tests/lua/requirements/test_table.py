"""docs/reference/requirements.md names a test for each case of the original and each of its defects."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "requirements.md").read_text()
LOOPS = {"asyncio", "uvloop", "trio"}
CASES, DEFECTS = 133, 10

_VARIANT = re.compile(r"(asyncio|uvloop|trio|luajit21|lua54|fast|real)(-|(?=\]))")
"""What the page leaves out of the id of a test: where it runs, and at which pace."""


def rows() -> dict[str, list[str]]:
    """The tests that the page names, by number."""
    found: dict[str, list[str]] = {}
    for line in PAGE.splitlines():
        cells = line.strip("|").split("|")
        if re.fullmatch(r" D?\d+ ", cells[0]):
            assert cells[0].strip() not in found, cells[0]
            found[cells[0].strip()] = re.findall(r"`([^`]+)`", cells[-1])
    return found


def without_variant(test: str) -> str:
    """The id of a test as the page has it."""
    return _VARIANT.sub("", test).replace("-]", "]").replace("[]", "")


@pytest.fixture(scope="module")
def collected() -> dict[str, set[str]]:
    """On which loops the tests here run, by their ids as the page has them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(Path(__file__).parent)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, set[str]] = {}
    for line in listed.stdout.splitlines():
        test = re.sub(r"^[^\[]*/", "", line)
        loops = [loop for loop in LOOPS if re.search(rf"[\[-]{loop}[\]-]", test)]
        found.setdefault(without_variant(test), set()).update(loops)
    return found


def test_each_case_and_each_defect_has_its_row() -> None:
    numbers = [str(number) for number in range(1, CASES + 1)]
    assert list(rows()) == numbers + [f"D{number}" for number in range(1, DEFECTS + 1)]


def test_each_row_names_tests_that_run_on_each_loop(collected: dict[str, set[str]]) -> None:
    missing = {
        (number, test)
        for number, tests in rows().items()
        for test in tests
        if collected.get(test, set()) != LOOPS
    }
    assert missing == set()
    assert all(rows().values())


def test_no_two_cases_are_the_same_test() -> None:
    named = [tuple(tests) for tests in rows().values()]
    assert len(set(named)) == len(named)
