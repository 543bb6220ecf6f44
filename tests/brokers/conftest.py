"""Each test runs with each broker, which is a program of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.brokers.servers import BROKERS, Broker


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=BROKERS, ids=lambda kind: kind.name)
def broker(request: pytest.FixtureRequest, program: Callable[[str], str], tmp_path: Path) -> Iterator[Broker]:
    kind: type[Broker] = request.param
    with kind(program(kind.name), tmp_path / "broker") as started:
        yield started
