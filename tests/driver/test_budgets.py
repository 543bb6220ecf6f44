"""Limits of the whole server: bytes held for clients, exchanges that run, connections of one client."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread, until
from tests.driver.http2_client import Client2
from tests.driver.net import HTTP1, Net

import httpng
from httpng_core import GeneratorIO, Request
from httpng_driver import IO, Server
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

BUDGET = 1 << 20
MOST = BUDGET + BUDGET // 8 + 256 * 1024
"""An eighth more, as long as all moves, and what is read or written before it is looked at."""
PIECE = bytes(64 * 1024)
FULL = "limit(memory_budget)"
CLIENT_FULL = "limit(max_connections_per_address)"


def ends(server: Server) -> dict[str, int]:
    """How often what has ended otherwise than cleanly."""
    return dict(server.statistics().ends)


def held(server: Server) -> int:
    found = server.statistics().held
    assert found is not None
    return found


def is_at_rest(server: Server) -> bool:
    """Whether nothing runs, and nothing is held."""
    return (server.statistics().exchanges, held(server)) == (0, 0)


async def coroutine(req: Request, io: IO) -> str | None:
    if req.path != "/big":
        return f"{len(req.body)} bytes"
    for _ in range(100):
        if await io.write(PIECE, timeout=BOUND):
            break
    return None


def generator(req: Request, io: GeneratorIO) -> Any:
    if req.path != "/big":
        return f"{len(req.body)} bytes"
    for _ in range(100):
        if (yield io.write(PIECE, timeout=BOUND)):
            break
    return None


def plain(req: Request) -> object:
    return bytes(len(PIECE) * 8) if req.path == "/big" else f"{len(req.body)} bytes"


SCRIPT = """
local httpng = require 'httpng'
httpng.cfg{memory_budget = 1048576, max_exchanges = 1000, handler = function(req, io)
  if req.path == '/big' then
    for _ = 1, 100 do
      if io:write(('x'):rep(65536), 60) then break end
    end
    return
  end
  return #(req.body or '') .. ' bytes'
end}
"""


class Crowd:
    """Clients that stand still: half of them read nothing, half have sent a part of a body."""

    def __init__(self, net: Net, server: Server, stack: AsyncExitStack) -> None:
        self._net = net
        self._server = server
        self._stack = stack
        self.largest = 0

    async def grow(self, count: int) -> None:
        """One by one, with a look at what is held, and a healthy client in between."""
        for number in range(count):
            await (self._upload if number % 2 else self._download)()
            self.largest = max(self.largest, held(self._server))
            if number % 8 == 7:
                await self.healthy()

    async def healthy(self) -> None:
        """One that reads, and takes a 503 for what it says: try again."""
        with anyio.fail_after(BOUND):
            while True:
                async with self._net.connect(self._server) as client:
                    answer = await in_thread(client.get, "/small")
                if answer.status != 503:
                    break
                assert (answer.headers or {})["retry-after"] == "1"
                await anyio.sleep(0.05)
        assert (answer.status, answer.body) == (200, b"0 bytes")

    async def trickler(self) -> Client:
        """One that sends a part of a body, and may go on slowly; some 22 of them fill the budget."""
        return await self._upload(3 * 16384)

    async def _client(self) -> Client:
        return await self._stack.enter_async_context(self._net.connect(self._server, receive_buffer=16384))

    async def _download(self) -> None:
        (await self._client()).request("/big")

    async def _upload(self, size: int = 100_000) -> Client:
        client = await self._client()
        if isinstance(client, Client2):
            client.http2.request("/up", "POST", body=None)
            for _ in range(3):
                client.http2.h2.send_data(1, bytes(16384))
            client.say()
        else:
            head = b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
            client.send(head + bytes(size))
        return client


async def grown(net: Net, server: Server, count: int = 16) -> None:
    """A crowd that would hold several times the budget comes and goes, and doesn't."""
    async with AsyncExitStack() as stack:
        crowd = Crowd(net, server, stack)
        await crowd.grow(count)
        await until(lambda: held(server) < BUDGET)
        await crowd.healthy()
        assert crowd.largest <= MOST
        assert ends(server)[FULL] >= 2
    await until(lambda: is_at_rest(server))


async def test_clients_that_stand_still_get_no_more_than_the_budget(net: Net) -> None:
    async with net.serving(coroutine, memory_budget=BUDGET) as server:
        await grown(net, server, 50 if net.transport == HTTP1 else 24)


@pytest.mark.parametrize("handler", [generator, plain])
async def test_whatever_the_handler_is(serving: Serving, pair: Any, handler: object) -> None:
    net = Net(serving, HTTP1, pair)
    async with net.serving(handler, memory_budget=BUDGET) as server:
        await grown(net, server)


async def test_those_of_lua_as_well(serving: Serving, pair: Any, tmp_path: Path) -> None:
    net, script = Net(serving, HTTP1, pair), tmp_path / "app.lua"
    script.write_text(SCRIPT)
    async with net.serving(LuaApplication(script, clock=time.monotonic)) as server:
        await grown(net, server)


async def test_all_threads_share_the_budget(serving: Serving, pair: Any) -> None:
    net = Net(serving, HTTP1, pair)
    async with net.serving(coroutine, memory_budget=BUDGET, threads=2) as server:
        await grown(net, server, 24)


async def test_the_one_that_stands_still_longest_is_ended_first(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "httpng")

    async def handler(req: Request, io: IO) -> None:
        await io.write(bytes(400_000), timeout=BOUND)
        await io.wait(0, timeout=BOUND)

    async with net.serving(handler, memory_budget=BUDGET) as server, AsyncExitStack() as stack:
        clients = []
        for number in range(3):
            clients.append(await stack.enter_async_context(net.connect(server, receive_buffer=16384)))
            clients[-1].request(f"/{number}")
            await until(lambda number=number: server.requests == number + 1)  # type: ignore[misc]
        await until(lambda: ends(server) == {FULL: 1})
        assert server.statistics().exchanges == 2
        assert held(server) <= BUDGET
        (line,) = [record.getMessage() for record in caplog.records if FULL in record.getMessage()]
        assert '"GET /0" was reset: the server holds as much for its clients as it may' in line
        await in_thread(clients[0].read_response)
        assert clients[0].was_reset
        for client in clients[1:]:
            assert len((await in_thread(client.read_response)).body) == 400_000


async def test_what_moves_goes_on(serving: Serving) -> None:
    """Clients that read, however much they get."""
    async with serving(coroutine, memory_budget=BUDGET) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(4)]
            async with anyio.create_task_group() as tasks:
                for client in clients:
                    tasks.start_soon(in_thread, client.get, "/big")
            assert sum(client.taken for client in clients) > 4 * 100 * len(PIECE)
            assert ends(server) == {}


async def test_uploads_that_trickle_keep_the_others_out_for_no_longer_than_a_second(net: Net) -> None:
    """They fill the budget, and none of them ever stands still."""
    async with net.serving(coroutine, memory_budget=BUDGET) as server, AsyncExitStack() as stack:
        crowd, over = Crowd(net, server, stack), threading.Event()
        tricklers = [await crowd.trickler() for _ in range(24)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, trickle, tricklers, over)
            try:
                # Some are ended, so that an eighth of the budget is free; on a slow machine that is soon.
                await until(lambda: held(server) >= BUDGET or FULL in ends(server))
                await crowd.healthy()
                assert held(server) < BUDGET
                # It asks 20 times a second, and each time that it is refused counts.
                assert ends(server)[FULL] < 80
            finally:
                over.set()
    await until(lambda: is_at_rest(server))


def trickle(clients: list[Client], over: threading.Event) -> None:
    """Send a little of each body, again and again, until it is over."""
    while not over.wait(0.02):
        for client in clients:
            # Those whose turn it was are gone.
            with suppress(OSError):
                send_some(client, 10)


def send_some(client: Client, size: int) -> None:
    """Send more of the body of its only request."""
    if isinstance(client, Client2):
        client.http2.h2.send_data(1, bytes(size))
        client.say()
    else:
        client.send(bytes(size))


async def test_a_budget_may_come_and_go_while_the_server_runs(serving: Serving) -> None:
    accepted: Counter[Request] = Counter()

    async def handler(req: Request, io: IO) -> None:
        for _ in range(100):
            if await io.write(PIECE, timeout=BOUND):
                break
            accepted[req] += 1

    async with serving(handler) as server, AsyncExitStack() as stack:
        assert server.statistics().held is None
        slow = [stack.enter_context(Client(server.addresses[0], receive_buffer=16384)) for _ in range(3)]
        for client in slow:
            client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        # By then each holds about as much as the budget.
        await until(lambda: len(accepted) == 3 and min(accepted.values()) * len(PIECE) >= BUDGET)
        server.reconfigure(handler, memory_budget=BUDGET)
        # What is there counts from the start.
        await until(lambda: ends(server).get(FULL, 0) >= 2)
        await until(lambda: held(server) < BUDGET)
        server.reconfigure(handler)
        await until(lambda: server.statistics().held is None)
        for _ in range(3):
            stack.enter_context(Client(server.addresses[0], receive_buffer=16384)).send(
                b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
            )
        await until(lambda: server.statistics().exchanges >= 3)


@pytest.mark.parametrize("threads", [1, 2])
async def test_no_more_exchanges_than_allowed(net: Net, threads: int) -> None:
    go_on = threading.Event()
    begun = list[Request]()

    @httpng.in_thread
    def handler(req: Request) -> str:
        begun.append(req)
        assert go_on.wait(BOUND)
        return "done"

    async with (
        net.serving(handler, max_exchanges=2, threads=threads) as server,
        net.connect(server) as first,
        net.connect(server) as second,
        net.connect(server) as third,
    ):
        for number, client in enumerate((first, second)):
            client.request()
            await until(lambda number=number: len(begun) == number + 1)  # type: ignore[misc]
        refused = await in_thread(third.get)
        assert (refused.status, (refused.headers or {})["retry-after"]) == (503, "1")
        assert ends(server) == {"limit(max_exchanges)": 1}
        go_on.set()
        for client in (first, second):
            assert (await in_thread(client.read_response)).body == b"done"
        async with net.connect(server) as fourth:
            assert (await in_thread(fourth.get)).body == b"done"


@asynccontextmanager
async def connected(server: Server, count: int) -> AsyncIterator[list[Client]]:
    """Clients that are answered."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(count)]
        for client in clients:
            assert (await in_thread(client.ask)).status == 200
        yield clients


def hello(req: Request) -> str:
    return "hello"


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_client_has_no_more_connections_than_allowed(
    serving: Serving, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "httpng")
    async with serving(hello, max_connections_per_address=3, threads=threads) as server:
        async with connected(server, 3):
            with Client(server.addresses[0]) as more:
                await in_thread(more.read_to_end)
                assert more.ended == "reset"
            assert ends(server) == {CLIENT_FULL: 1}
            assert [record.getMessage() for record in caplog.records] == [
                "dropped a connection of 127.0.0.1: it has as many connections as a client may have"
            ]
        await until(lambda: server.connections == 0)
        async with connected(server, 3):
            server.reconfigure(hello, threads=threads)
            async with connected(server, 3):
                pass


async def test_trusted_proxies_have_as_many_as_they_like(serving: Serving) -> None:
    cfg = {"max_connections_per_address": 1, "trusted_proxies": ["127.0.0.0/8"]}
    async with serving(hello, **cfg) as server, connected(server, 3):
        assert server.connections == 3


async def test_who_a_proxy_names_is_counted_and_not_the_proxy(serving: Serving) -> None:
    listen = {"addr": "127.0.0.1", "port": 0, "proxy_protocol": True}
    async with serving(hello, max_connections_per_address=1, listen=[listen]) as server:
        with ExitStack() as stack:
            for client, answered in (("192.0.2.1", True), ("192.0.2.2", True), ("192.0.2.1", False)):
                one = stack.enter_context(Client(server.addresses[0]))
                one.send(f"PROXY TCP4 {client} 192.0.2.9 5000 80\r\n".encode() + GET)
                if answered:
                    assert (await in_thread(one.read_response)).status == 200
                else:
                    await in_thread(one.read_to_end)
                    assert one.ended == "reset"
            assert ends(server) == {CLIENT_FULL: 1}
        await until(lambda: server.connections == 0)
        with Client(server.addresses[0]) as again:
            again.send(b"PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n" + GET)
            assert (await in_thread(again.read_response)).status == 200


async def test_operators_see_it(serving: Serving) -> None:
    sites = [{"path": "/status", "handler": httpng.status_handler}, {"path": "/", "handler": coroutine}]
    async with serving(None, sites=sites, memory_budget=4 * BUDGET) as server:
        with (
            Client(server.addresses[0], receive_buffer=16384) as slow,
            Client(server.addresses[0]) as client,
        ):
            slow.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: held(server) > 500_000)
            told = await in_thread(client.get, "/status?format=json")
            status = json.loads(told.body)
            assert status["memory_budget"] == 4 * BUDGET
            assert status["held"] == held(server)
            (row,) = [row for row in status["exchanges"] if row["target"] == "/big"]
            assert row["held"] == held(server)
            page = (await in_thread(client.get, "/status")).body.decode()
            assert f"; {held(server):,} bytes held of a budget of {4 * BUDGET:,}</h1>" in page
            metrics = (await in_thread(client.get, "/status/metrics")).body.decode()
            lines = [line.split() for line in metrics.splitlines() if line.startswith("httpng_")]
            figures = dict(lines)
            assert float(figures["httpng_memory_budget_bytes"]) == 4 * BUDGET
            assert float(figures["httpng_held_bytes"]) == held(server)
