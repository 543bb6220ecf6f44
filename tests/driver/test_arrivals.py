"""Several clients that ask at once: all requests are read before the first handler begins, and all handlers
run before the first answer is given, within bounds.

Where exchanges are limited each is served before the next one is read, so that those that are answered at
once don't count together.
"""

import select
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import anyio.lowlevel
import pytest
from tests.driver.harness import Client, in_thread
from tests.driver.net import HTTP1, Net, Transport

from httpng_asyncio import AsyncioReactor
from httpng_core import COMPILED, NO_HOST, Address, Answers, Application, Request
from httpng_core.languages import response_head
from httpng_driver import IO, Server
from httpng_driver.handlers import Driving
from httpng_driver.loop import Accepted, Arrivals, Hub
from httpng_trio import TrioReactor

pytestmark = pytest.mark.anyio

CLIENTS = 100
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
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
    # What those have answered may be given already, if this machine is slow.
    assert under_way[0] == 5
    assert statuses == [200] * 5


@pytest.mark.parametrize("transport", [HTTP1, Transport(tls=True)], ids=str)
async def test_no_more_than_a_bound(net: Net) -> None:
    under_way, statuses = await asked_at_once(net, CLIENTS)
    assert under_way[0] == max(under_way) == MOST_AT_ONCE
    assert statuses == [200] * CLIENTS


@pytest.mark.parametrize("limit", [{"max_exchanges": 1}, {"memory_budget": 1 << 20}])
async def test_not_where_exchanges_are_limited(net: Net, limit: dict[str, int]) -> None:
    under_way, statuses = await asked_at_once(net, 5, **limit)
    assert under_way == [1] * 5
    assert statuses == [200] * 5


class Answered:
    """Clients whose handlers note how many of them had their answers when each began."""

    def __init__(
        self, seconds: float, handler: Callable[..., Any] | None = None, *, tasks: bool = False
    ) -> None:
        self.app = handler or (self.coroutine if tasks else self.handler)
        self.now = 100.0
        self.before: list[int] = []
        self.ends: list[socket.socket] = []
        self._seconds = seconds

    def handler(self, req: Request) -> str:
        self.before.append(len(self.answered))
        self.now += self._seconds
        return "hello"

    async def coroutine(self, req: Request, io: IO) -> str:
        return self.handler(req)

    @property
    def answered(self) -> list[socket.socket]:
        return select.select(self.ends, [], [], 0)[0]


@asynccontextmanager
async def clients_of_a_hub(backend: str, found: Answered, count: int) -> AsyncIterator[Hub]:
    """A hub with clients that it has looked at."""
    async with TrioReactor() if backend == "trio" else AsyncioReactor() as reactor:
        hub = Hub(Application(found.app), reactor, clock=lambda: found.now)
        for _ in range(count):
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            found.ends.append(ours)
            hub.take(Accepted(theirs, Address("127.0.0.1", 1), Address("127.0.0.1", 2)))
        # So that they are at rest.
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        yield hub
        hub.close()
    for end in found.ends:
        end.close()


async def all_answers(found: Answered) -> list[bytes]:
    """Let the loop run until all have their answers, and take them."""
    for _ in range(1000):
        await anyio.lowlevel.checkpoint()
        if len(found.answered) == len(found.ends):
            return [end.recv(65536) for end in found.ends]
    raise AssertionError(f"{len(found.answered)} of {len(found.ends)} were answered")


async def answered_before(
    backend: str, count: int, *, tasks: bool = False, seconds: float = 0.0, rounds: int = 1
) -> list[int]:
    """How many clients had their answers when each handler began, which takes `seconds`, in the last round.

    They all ask at once, in each round.
    """
    found = Answered(seconds, tasks=tasks)
    async with clients_of_a_hub(backend, found, count):
        for _ in range(rounds):
            found.before.clear()
            for end in found.ends:
                end.sendall(GET)
            await all_answers(found)
    return found.before


@pytest.mark.parametrize("tasks", [False, True], ids=["def", "async"])
async def test_quick_handlers_all_run_before_the_first_is_answered(
    anyio_backend_name: str, tasks: bool
) -> None:
    before = await answered_before(anyio_backend_name, 5, tasks=tasks)
    # Tasks that begin later are answered one by one.
    begin_later = tasks and (anyio_backend_name == "trio" or sys.version_info < (3, 12))
    assert before == ([0, 1, 2, 3, 4] if begin_later else [0] * 5)


async def test_so_many_answers_wait_at_most(anyio_backend_name: str) -> None:
    before = await answered_before(anyio_backend_name, CLIENTS)
    assert before == [0] * MOST_AT_ONCE + [MOST_AT_ONCE] * (CLIENTS - MOST_AT_ONCE)


async def test_no_answer_waits_for_long(anyio_backend_name: str) -> None:
    # After two of them the time is up; all that follow are answered as they come.
    assert await answered_before(anyio_backend_name, 5, seconds=0.0015) == [0, 0, 2, 3, 4]


async def test_no_answer_waits_where_the_last_handlers_took_long(anyio_backend_name: str) -> None:
    before = await answered_before(anyio_backend_name, 5, seconds=0.001, rounds=2)
    assert before == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("tasks", [False, True], ids=["def", "async"])
async def test_one_that_asks_alone_is_answered_at_once(anyio_backend_name: str, tasks: bool) -> None:
    assert await answered_before(anyio_backend_name, 1, tasks=tasks) == [0]


async def test_what_was_read_when_the_server_begins_to_drain_is_answered(anyio_backend_name: str) -> None:
    found, drained = Answered(0.0), list[bool]()
    async with clients_of_a_hub(anyio_backend_name, found, 5) as hub:
        for end in found.ends:
            end.sendall(GET)
        # It is found behind them, at the same look.
        hub.ring(lambda: hub.drain(lambda: drained.append(True)))
        await all_answers(found)
        assert drained == [True]
        assert [end.recv(1) for end in found.ends] == [b""] * 5


async def test_each_gets_what_its_handler_returned(anyio_backend_name: str) -> None:
    shared: dict[str, Any] = {"headers": {"x-number": "0"}}

    def numbered(req: Request) -> dict[str, Any]:
        shared["headers"]["x-number"] = req.path[1:]
        shared["body"] = req.path
        return shared

    async def coroutine(req: Request, io: IO) -> dict[str, Any]:
        return numbered(req)

    for handler in (numbered, coroutine):
        found = Answered(0.0, handler)
        async with clients_of_a_hub(anyio_backend_name, found, 5):
            for number, end in enumerate(found.ends):
                end.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            for number, answer in enumerate(await all_answers(found)):
                assert b"x-number: %d\r\n" % number in answer
                assert answer.endswith(b"/%d" % number)


class Streams(Driving):
    """What drives a connection of 40 requests at once."""

    def __init__(self, given: list[int]) -> None:
        super().__init__()
        self.given = given

    def start(self, answers: Answers | None) -> None:
        self.given.append(0)
        for _ in range(40 if answers is not None else 0):
            assert answers is not None
            answers.append((cast(Any, self), response_head(200, None), b""))

    # As of an exchange.

    host = NO_HOST

    def answer_with(self, head: object, data: bytes, now: float, send: object) -> None:
        self.given[-1] += 1


@pytest.mark.skipif(COMPILED, reason="nothing else derives from a compiled class")
def test_so_many_answers_of_streams_wait_at_most() -> None:
    given: list[int] = []
    arrivals = Arrivals(lambda: 100.0)
    for _ in range(5):
        arrivals.join(Streams(given), b"")
    arrivals.serve()
    assert given == [0, 80, 0, 80, 40]
