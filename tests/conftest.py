"""What every test may ask for: a system program, which is named at the end of the run where it is missing."""

import os
import shutil
from collections.abc import Callable

import pytest

_MISSING = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MISSING] = set()


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`program("curl")` is the path of curl; without it the test is skipped, or fails where CI is "true"."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            request.config.stash[_MISSING].add(name)
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"{name} is not installed")
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = terminalreporter.config.stash[_MISSING]
    if missing:
        terminalreporter.write_line(f"not run for want of a program: {', '.join(sorted(missing))}")
