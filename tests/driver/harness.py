"""What tests over real sockets share: servers in the test's own loop, clients that may be slow or rude.

Clients are plain sockets. What can block them (reading) runs in worker threads, so that a server and its
clients wait for each other as they would over a network; the rest is done where it is called.
"""

import fcntl
import select
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread
from tests.driver.http1_client import BOUND as BOUND
from tests.driver.http1_client import GET as GET
from tests.driver.http1_client import Client as Client
from tests.driver.http1_client import Received as Received

import httpng_asyncio
import httpng_trio
from httpng_core import Application, Exchange, Request
from httpng_driver import IO, Server
from httpng_driver.loop import Pump

MANY_CLIENTS = 500
"""How many clients there are where there are many: `many_files` makes room for them."""

T = TypeVar("T")
Serving = Callable[..., AbstractAsyncContextManager[Server]]
"""`async with serving(app, **cfg) as server`: a server on a loopback port, cancelled when the block ends.

With `cancel=False` the block ends when the server has, for a bounded time.
"""

_BACKENDS: dict[str, Callable[..., Awaitable[None]]] = {
    "asyncio": httpng_asyncio.serve,
    "trio": httpng_trio.serve,
}


def serving_on(backend: str, **always: object) -> Serving:
    """`Serving` by a backend's own `serve`; handlers get the settings `always` that a test doesn't give."""

    @asynccontextmanager
    async def serving(
        app: object, *, listen: object = "127.0.0.1:0", cancel: bool = True, **cfg: object
    ) -> AsyncIterator[Server]:
        settings = cfg if isinstance(app, Application) else always | cfg

        async def serve(*, task_status: Any) -> None:
            await _BACKENDS[backend](app, listen=listen, task_status=task_status, **settings)

        failures: list[Exception] = []
        try:
            async with anyio.create_task_group() as tasks:
                server: Server = await tasks.start(serve)
                yield server
                tasks.cancel_scope.deadline = -inf if cancel else anyio.current_time() + BOUND
            assert cancel or not tasks.cancel_scope.cancelled_caught, "the server hasn't ended"
        except ExceptionGroup as group:
            failures.extend(group.exceptions)
        if len(failures) == 1:
            # The group that it came in tells nothing.
            raise failures[0]
        if failures:
            raise ExceptionGroup("a test and its server", failures)

    return serving


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What a client does that may block, out of the server's way."""
    return await anyio.to_thread.run_sync(function, *args)


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Waits until `condition()` holds, for a bounded time."""
    with anyio.move_on_after(BOUND):
        while not condition():  # noqa: ASYNC110 - conditions of the kernel have no event
            await anyio.sleep(0.002)
        return
    raise AssertionError(f"not so within {BOUND} s: {what or condition}")


async def within_bound(event: anyio.Event) -> None:
    """Waits for an event, for a bounded time."""
    with anyio.fail_after(BOUND):
        await event.wait()


class Observed(Generic[T]):
    """A handler whose outcome the test awaits: `@Observed` above the function.

    The response ends when the function does, with what was written; what the function returns or raises
    is the test's.
    """

    def __init__(self, function: Callable[[Request, IO], Awaitable[T]]) -> None:
        self._function = function
        self._done = anyio.Event()
        self._outcomes: list[T] = []
        self._error: BaseException | None = None

    async def __call__(self, req: Request, io: IO) -> None:
        try:
            self._outcomes.append(await self._function(req, io))
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._done.set()

    async def outcome(self) -> T:
        """What the function returned, or raises what it raised."""
        await within_bound(self._done)
        if self._error is not None:
            raise self._error
        return self._outcomes[-1]


# What the kernel says of a socket ---------------------------------------------------------------------

_SIOCOUTQ = 0x5411
_BYTES_ACKED_AT = 120


def send_queue(sock: socket.socket) -> int:
    """Bytes that the kernel holds for the peer: not sent, or sent and not acknowledged."""
    answer = fcntl.ioctl(sock.fileno(), _SIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def bytes_acked(sock: socket.socket) -> int:
    """Bytes that the peer's TCP has acknowledged."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("Q", info, _BYTES_ACKED_AT)[0])


def kernel_accepted(sock: socket.socket) -> int:
    """All bytes that the kernel has ever taken for this accepted socket, by its own count."""
    while True:
        before = bytes_acked(sock)
        total = before + send_queue(sock)
        # An acknowledgement in between would be missing, or counted twice.
        if bytes_acked(sock) == before:
            return total


def refuses(sock: socket.socket) -> bool:
    """Whether the kernel takes no more of this socket for now."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return not any(mask & select.POLLOUT for _, mask in poll.poll(0))


async def standstill(sock: socket.socket, *, is_full: bool = True) -> int:
    """Waits until the kernel refuses, or else holds nothing, and nothing moves; gives `kernel_accepted`."""
    steady, before = 0, (-1, -1)
    with anyio.move_on_after(BOUND):
        while steady < 8:
            await anyio.sleep(0.005)
            now = (kernel_accepted(sock), send_queue(sock))
            still = refuses(sock) if is_full else now[1] == 0
            steady = steady + 1 if now == before and still else 0
            before = now
        return before[0]
    raise AssertionError("no standstill")


def turns_of(server: Server) -> int:
    """How many turns the server's first loop has taken."""
    return server.hub.statistics().turns


def tasks_of(server: Server) -> int:
    """How many async handlers run in the server's first loop."""
    return server.hub.statistics().tasks


def pumps_of(server: Server) -> list[Pump]:
    """The server's ends of the connections in its first loop."""
    return server.hub.pumps


def pump_of(server: Server, client: Client) -> Pump:
    """The server's end of a client's connection."""
    return next(pump for pump in pumps_of(server) if pump.socket.getpeername()[1] == client.port)


def exchanges_of(pump: Pump) -> list[Exchange]:
    """What runs on a connection, whatever carries it."""
    return pump.connection.statistics().exchanges


async def adopted(server: Server, client: Client) -> Pump:
    """The server's end, once it has accepted."""

    def found() -> list[Pump]:
        return [pump for pump in pumps_of(server) if pump.socket.getpeername()[1] == client.port]

    await until(found, "the server accepts")
    return found()[0]
