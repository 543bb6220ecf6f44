"""Several clients that ask at once: all requests are read before the first handler begins, within bounds.

Where exchanges are limited each is served before the next one is read, so that those that are answered at
once don't count together.
"""

from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.driver.harness import Client, in_thread
from tests.driver.net import HTTP1, Net, Transport

from httpng_core import Request
from httpng_driver import Server

pytestmark = pytest.mark.anyio

CLIENTS = 100
MOST_AT_ONCE = 64
"""So many requests are read before the first is served."""


class Crowd:
    """Clients that all ask while a handler runs, so that the loop finds them at one look."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.under_way: list[int] = []
        self.server: Server | None = None

    def handler(self, req: Request) -> str:
        assert self.server is not None
        if req.path == "/begin":
            for client in self.clients:
                client.request("/")
            return "begun"
        self.under_way.append(self.server.statistics().exchanges)
        return "hello"


async def asked_at_once(net: Net, count: int, **cfg: Any) -> tuple[list[int], list[int]]:
    """How many exchanges ran when each handler began, and what each client was answered."""
    crowd = Crowd()
    async with net.serving(crowd.handler, **cfg) as server, AsyncExitStack() as stack:
        crowd.server = server
        first = await stack.enter_async_context(net.connect(server))
        for _ in range(count):
            client = await stack.enter_async_context(net.connect(server))
            # So that it is at rest.
            assert (await in_thread(client.get, "/")).status == 200
            crowd.clients.append(client)
        crowd.under_way.clear()
        assert (await in_thread(first.get, "/begin")).body == b"begun"
        statuses = [(await in_thread(client.read_response)).status for client in crowd.clients]
    return crowd.under_way, statuses


@pytest.mark.parametrize("transport", [HTTP1, Transport(tls=True)], ids=str)
async def test_all_are_read_before_the_first_is_served(net: Net) -> None:
    under_way, statuses = await asked_at_once(net, 5)
    assert under_way == [5, 4, 3, 2, 1]
    assert statuses == [200] * 5


@pytest.mark.parametrize("transport", [HTTP1, Transport(tls=True)], ids=str)
async def test_no_more_than_a_bound(net: Net) -> None:
    under_way, statuses = await asked_at_once(net, CLIENTS)
    rest = CLIENTS - MOST_AT_ONCE
    assert under_way == [*range(MOST_AT_ONCE, 0, -1), *range(rest, 0, -1)]
    assert statuses == [200] * CLIENTS


@pytest.mark.parametrize("limit", [{"max_exchanges": 1}, {"memory_budget": 1 << 20}])
async def test_not_where_exchanges_are_limited(net: Net, limit: dict[str, int]) -> None:
    under_way, statuses = await asked_at_once(net, 5, **limit)
    assert under_way == [1] * 5
    assert statuses == [200] * 5
