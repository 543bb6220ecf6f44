"""What every test may ask for: a system program, which is named at the end of the run where it is missing."""

import gc
import os
import re
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

# No test depends on how fast the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_MISSING = "is not installed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=["fast", "reference"],
        default="fast",
        help="what the servers of tests/driver read HTTP/1.1 and speak HTTP/2 with",
    )


_ALONE = frozenset(
    [
        "test_asgi_crowd",
        "test_autobahn",
        "test_backstop",
        "test_budget_of_many",
        "test_crowds",
        "test_long_upload",
        "test_long_uploads",
        "test_many_clients",
        "test_mixed_crowd",
        "test_streams_over_reloads",
    ]
)
"""Files whose soak tests measure, or fill the machine: in soak they have it for themselves."""


def pytest_xdist_auto_num_workers() -> int:
    # Tests wait for half of their time: for timeouts, for programs that start, for clients that are slow.
    return 2 * (os.cpu_count() or 1)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.stem in _ALONE:
        item.add_marker(pytest.mark.alone)


def pytest_collection_finish() -> None:
    # Modules and thousands of tests stay to the end: without them a collection takes little time.
    gc.collect()
    gc.freeze()


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`program("curl")` is the path of curl; without it the test is skipped, or fails where CI is "true"."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"{name} {_MISSING}")
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # By the reports: tests may have run in other processes.
    reasons = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    missing = {word for reason in reasons for word in re.findall(rf"(\S+) {_MISSING}", reason)}
    if missing:
        terminalreporter.write_line(f"not run for want of a program: {', '.join(sorted(missing))}")
