"""Our own backends are drivers like any other: what core ships to test drivers is tried on them."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import httpng_asyncio
import httpng_trio
from httpng_core.testing.conformance import DriverConformance, Form
from httpng_driver import Server


class FrontDoor(DriverConformance):
    """A front door's `serve`, its event loop in a thread of its own."""

    forms: ClassVar[tuple[Form, ...]] = ("generator", "async")
    tells_acknowledged: ClassVar[bool] = True
    door: ClassVar[Callable[..., Awaitable[None]]]
    backend: ClassVar[tuple[str, dict[str, Any]]]

    @pytest.fixture
    def portal(self) -> Iterator[BlockingPortal]:
        name, options = self.backend
        with start_blocking_portal(name, options) as portal:
            yield portal

    @pytest.fixture
    def servers(self) -> list[Server]:
        return []

    @pytest.fixture
    def serve(self, portal: BlockingPortal, servers: list[Server]) -> Iterator[Callable[..., int]]:
        serving = []

        def start(handler: object, **settings: Any) -> int:
            door = partial(type(self).door, handler, listen="127.0.0.1:0", **settings)
            future, server = portal.start_task(door)
            serving.append(future)
            servers.append(server)
            return int(server.addresses[0].port)

        yield start
        for future in serving:
            future.cancel()

    @pytest.fixture
    def drain(self, portal: BlockingPortal, servers: list[Server]) -> Callable[[], None]:
        def drain() -> None:
            for server in servers:
                portal.call(server.shutdown)

        return drain


class TestAsyncio(FrontDoor):
    door = staticmethod(httpng_asyncio.serve)
    backend = ("asyncio", {"use_uvloop": False})


class TestUvloop(FrontDoor):
    door = staticmethod(httpng_asyncio.serve)
    backend = ("asyncio", {"use_uvloop": True})


class TestTrio(FrontDoor):
    door = staticmethod(httpng_trio.serve)
    backend = ("trio", {})
