"""What authors of scripts for the original rely on, over real sockets and on each loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.driver.conftest import _ASYNCIO, anyio_backend, pair, serving
from tests.driver.harness import _BACKENDS, BOUND, Serving
from tests.driver.net import HTTP1, ON_ALL_LOOPS
from tests.lua.conftest import Write
from tests.lua.requirements.scripts import Finish, Run, Served, application, lines_of, prelude

from httpng_core import CertificateFiles

__all__ = ["anyio_backend", "pair", "serving"]

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """LuaJIT is tried on each loop, Lua 5.4 on one, and so are most transports: the rest is for `soak`."""
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if not item.path.is_relative_to(HERE) or params.get("anyio_backend", _ASYNCIO) == _ASYNCIO:
            continue
        if params.get("lua") == "lua54" or params.get("over", HTTP1) not in ON_ALL_LOOPS:
            item.add_marker(pytest.mark.soak)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """The file that a script reports into."""
    return tmp_path / "told"


@pytest.fixture
def run(serving: Serving, write: Write, pair: CertificateFiles, told: Path, lua: str) -> Run:
    """`async with run(source) as served`: a script that stands behind `prelude`, and its server."""

    @asynccontextmanager
    async def run(source: str) -> AsyncIterator[Served]:
        app = application(write(prelude(pair, told) + source), lua)
        async with serving(app, listen=None) as server:
            yield Served(app, server, pair, told)

    return run


@pytest.fixture
def finish(anyio_backend_name: str, write: Write, pair: CertificateFiles, told: Path, lua: str) -> Finish:
    """`await finish(source)`: what a script that ends by itself, its server too, said by `report(...)`."""

    async def finish(source: str) -> list[str]:
        app = application(write(prelude(pair, told) + source), lua)
        with anyio.fail_after(BOUND):
            await _BACKENDS[anyio_backend_name](app)
        return lines_of(told)

    return finish
