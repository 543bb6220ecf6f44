"""At `max_conn_per_thread` idle connections give way to new clients, the one that is idle longest first."""

import logging
import select
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread, send_queue, until
from tests.driver.net import Net

from httpng_core import Request
from httpng_driver import IO, Server

pytestmark = pytest.mark.anyio


def hello(req: Request) -> str:
    return "hello"


def holding() -> tuple[Callable[[Request], str], threading.Event, threading.Event]:
    """A handler whose loop stands still at `/hold`; tells when that begins, and waits to be told to go on."""
    begun, go_on = threading.Event(), threading.Event()

    def handler(req: Request) -> str:
        if req.path == "/hold":
            begun.set()
            assert go_on.wait(BOUND)
        return "hello"

    return handler, begun, go_on


def is_waiting(server: Server) -> bool:
    """Whether the listener has stopped for want of room."""
    return server.statistics().listeners[0].paused


async def served(client: Client) -> bool:
    """Whether the client is answered, on the connection that it has."""
    return (await in_thread(client.get)).body == b"hello"


async def test_the_one_that_is_idle_longest_gives_way(net: Net) -> None:
    async with net.serving(hello, max_conn_per_thread=3) as server, AsyncExitStack() as stack:
        clients = []
        for _ in range(3):
            client = await stack.enter_async_context(net.connect(server))
            assert await served(client)
            clients.append(client)
        first, second, third = clients
        assert await served(first)
        fourth = await stack.enter_async_context(net.connect(server))
        assert await served(fourth)
        await in_thread(second.read_to_end)
        assert second.ended == "fin"
        assert server.connections == 3
        for client in (first, third, fourth):
            assert await served(client)


async def test_busy_connections_do_not(net: Net) -> None:
    """The new client waits until one of them is idle: it needn't leave."""
    go_on = anyio.Event()

    async def handler(req: Request, io: IO) -> str:
        if req.path == "/busy":
            await go_on.wait()
        return "hello"

    async with net.serving(handler, max_conn_per_thread=1) as server, net.connect(server) as busy:
        busy.request("/busy")
        await until(lambda: server.requests == 1)
        with net.client(server) as later:
            await until(lambda: is_waiting(server))
            assert server.connections == 1
            go_on.set()
            assert (await in_thread(busy.read_response)).body == b"hello"
            await in_thread(later.shake)
            assert await served(later)
        await in_thread(busy.read_to_end)
        assert busy.ended == "fin"


@pytest.mark.parametrize("is_first", [False, True], ids=["behind", "ahead"])
async def test_a_request_that_has_come_in_time_is_answered(net: Net, is_first: bool) -> None:
    """Nobody has looked at it yet when the new client is found to wait, or it was read and no more."""
    handler, begun, go_on = holding()
    async with (
        net.serving(handler, max_conn_per_thread=2) as server,
        net.connect(server) as idle,
        net.connect(server) as holder,
    ):
        for client in (idle, holder):
            assert await served(client)
        request, come = idle.prepare(), list[Client]()

        def send() -> None:
            idle.send(request)
            # On a busy machine it may be under way still when a client that connected later is there.
            deadline = time.monotonic() + BOUND
            while send_queue(idle.socket):
                assert time.monotonic() < deadline

        def meanwhile() -> None:
            assert begun.wait(BOUND)
            # The loop finds them in the order in which they come.
            if is_first:
                send()
            come.append(net.client(server))
            if not is_first:
                send()
            go_on.set()

        thread = threading.Thread(target=meanwhile)
        thread.start()
        holder.request("/hold")
        await in_thread(thread.join)
        with come[0] as later:
            await in_thread(later.shake)
            assert await served(later)
            assert (await in_thread(idle.read_response)).body == b"hello"
            assert await served(idle)
        assert (await in_thread(holder.read_response)).body == b"hello"
        await in_thread(holder.read_to_end)


@pytest.mark.parametrize("began", [b"", GET[:7]], ids=["silent", "half a head"])
async def test_who_has_not_been_answered_yet_does_not(serving: Serving, began: bytes) -> None:
    async with serving(hello, max_conn_per_thread=1) as server:
        with Client(server.addresses[0]) as first, Client(server.addresses[0]) as later:
            first.send(began)
            await until(lambda: is_waiting(server))
            assert (await in_thread(first.ask, GET[len(began) :])).body == b"hello"
            assert await served(later)
            await in_thread(first.read_to_end)


@pytest.mark.parametrize("oldest", [0, 1])
async def test_in_whichever_thread_it_is(net: Net, oldest: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpng.access")

    def done() -> int:
        return sum(record.name == "httpng.access" for record in caplog.records)

    async with (
        net.serving(hello, threads=2, max_conn_per_thread=1, access_log=True) as server,
        net.connect(server) as first,
        net.connect(server) as second,
    ):
        both = [first, second]
        assert await served(both[oldest])
        # The client has the response before the other thread knows that it is idle.
        await until(lambda: done() == 1)
        assert await served(both[1 - oldest])
        await until(lambda: done() == 2)
        async with net.connect(server) as later:
            assert await served(later)
            await in_thread(both[oldest].read_to_end)
            assert await served(both[1 - oldest])
            assert server.statistics().loops == (1, 1)


class Held:
    """An epoll by which other threads than this one unregister a socket when they may."""

    looks = 0
    begun, go_on = threading.Event(), threading.Event()

    def __init__(self) -> None:
        self._epoll = _epoll()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def modify(self, fd: int, interest: int) -> None:
        """Count what a listener does that has stopped for want of room, and looks again."""
        Held.looks += 1
        self._epoll.modify(fd, interest)

    def unregister(self, fd: int) -> None:
        if threading.current_thread().name.startswith("httpng-"):
            Held.begun.set()
            assert Held.go_on.wait(BOUND)
        self._epoll.unregister(fd)


_epoll: Any = getattr(select, "epoll", None)


@pytest.mark.skipif(_epoll is None, reason="needs epoll")
async def test_while_one_of_another_thread_closes_no_other_one_does(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Held, "begun", threading.Event())
    monkeypatch.setattr(Held, "go_on", threading.Event())
    monkeypatch.setattr(select, "epoll", Held)
    async with serving(hello, threads=2, max_conn_per_thread=1) as server:
        port = server.addresses[0]
        with Client(port) as first, Client(port) as second:
            # The first loop has the first one.
            assert await served(second)
            assert await served(first)
            with Client(port) as later:
                later.request()
                await until(Held.begun.is_set)
                before = Held.looks
                try:
                    # It has looked again, twice.
                    await until(lambda: Held.looks >= before + 4 or server.requests > 2)
                    assert server.requests == 2
                finally:
                    Held.go_on.set()
                assert (await in_thread(later.read_response)).body == b"hello"
                await in_thread(second.read_to_end)
                assert await served(first)


async def test_where_a_thread_is_busy_those_of_others_give_way(serving: Serving) -> None:
    handler, begun, go_on = holding()
    async with (
        serving(handler, threads=2, max_conn_per_thread=2) as server,
        AsyncExitStack() as stack,
    ):
        # The second thread has the second and the fourth of them.
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(4)]
        first, longest_idle, third, busy = clients
        for client in (longest_idle, first, third, busy):
            assert await served(client)
        busy.request("/hold")
        try:
            await in_thread(begun.wait, BOUND)
            later = stack.enter_context(Client(server.addresses[0]))
            assert await served(later)
            await in_thread(first.read_to_end)
        finally:
            go_on.set()
        assert (await in_thread(busy.read_response)).body == b"hello"
        assert await served(third)


async def test_a_lower_limit_is_reached_as_new_clients_come(serving: Serving) -> None:
    async with serving(hello, max_conn_per_thread=40) as server, AsyncExitStack() as stack:
        clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(40)]
        for client in clients:
            assert await served(client)
        server.reconfigure(hello, max_conn_per_thread=2)
        later = stack.enter_context(Client(server.addresses[0]))
        assert await served(later)
        assert server.connections <= 2
        assert await served(clients[-1])
