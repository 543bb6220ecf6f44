"""What a hello costs a whole server but for TCP, in one process: microseconds, calls, or byte codes.

A hub serves 32 clients at the other ends of socket pairs, a request of each in a turn; "pieces": a piece of
a response of an ASGI application to each, from a queue of its own. Calls and byte codes don't depend on what
else the machine does, so small steps can be told by them. Microseconds are the least of all turns, their
median, and their average, which has what is done once in many requests, such as the work of Lua's collector;
those of the loop that waits for the answers are among them.

    python bench/in_process.py [async|def|lua|asgi|pieces|bulk] [uvloop|asyncio|trio] [--changing]
        [--streams N [--connections N]] [--count calls|codes [--by-function]] [--turns 300]

"bulk": responses of 4 MiB, as many as there are streams, or 20, over one connection of TCP to a process that
reads and forgets them; microseconds, calls and codes are those of 64 KiB.

With `--streams` it is HTTP/2, with that many requests at once on each connection.

What is measured is whichever httpng comes first on the path of this Python: of another tree, by PYTHONPATH.
"""

import argparse
import asyncio
import os
import select
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import fanout_apps  # type: ignore[import-not-found]
from bench_apps import asgi, bulk_async, hello_async, hello_plain  # type: ignore[import-not-found]
from h2_frames import BULK, OPENING, requests, responses  # type: ignore[import-not-found]

from httpng_core import Address, Application
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.hub import Hub

HERE = Path(__file__).parent
CLIENTS, WARM_UP = 32, 20
HANDLERS = {"async": hello_async, "def": hello_plain, "asgi": asgi, "pieces": fanout_apps.asgi}
PIECE = fanout_apps.tick(1)
BULK_SIZE = 4 << 20
_NOTSENT_LOWAT = 25
WRK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"


class Counts:
    """Calls of Python and of built-in functions, or byte codes, by function."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.found: Counter[tuple[str, str]] = Counter()

    def begin(self) -> None:
        """Count from now on."""
        if self.what == "calls":
            sys.setprofile(self._call)
        elif self.what == "codes":
            sys.settrace(self._enter)

    def stop(self) -> None:
        """Count no more."""
        sys.setprofile(None)
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            self.found["Python", _name(frame)] += 1
        elif event == "c_call":
            self.found["built-in", f"{_name(frame)} -> {argument.__qualname__}"] += 1

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        key = "codes", _name(frame)

        def each(frame: FrameType, event: str, argument: Any) -> Any:
            self.found[key] += event == "opcode"
            return each

        return each


class Clients:
    """The clients of a hub, in its process."""

    def __init__(self, hub: Hub, changing: bool, count: int = CLIENTS) -> None:
        self._hub, self._changing, self._number = hub, changing, 0
        self._ends: list[socket.socket] = []
        self._answered = select.epoll()
        for _ in range(count):
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            hub.take(Accepted(theirs, Address("127.0.0.1", 1), Address("127.0.0.1", 2)))
            self._ends.append(ours)
            self._answered.register(ours.fileno(), select.EPOLLIN)

    def ask(self) -> None:
        """Have each send a request, or get another piece of its response."""
        if fanout_apps.queues:
            for queue in fanout_apps.queues:
                queue.put_nowait(PIECE)
            return
        for end in self._ends:
            self._number += 1
            changing = b"X-Request-Id: %016d\r\n" % self._number if self._changing else b""
            end.send(WRK + changing + b"\r\n")

    @property
    def have_answers(self) -> bool:
        """Whether each was answered, and the hub is done with that."""
        is_done = self._hub.statistics().tasks == len(fanout_apps.queues)
        count = len(self._ends)
        return is_done and len(self._answered.poll(0, count)) == count

    def take(self) -> None:
        """Take the answers."""
        for end in self._ends:
            assert end.recv(65536).endswith((b"hello", PIECE + b"\r\n"))

    def close(self) -> None:
        """Go away."""
        for end in self._ends:
            end.close()
        self._answered.close()


class Http2Clients(Clients):
    """Clients that have several requests at once on each connection, of HTTP/2."""

    def __init__(self, hub: Hub, changing: bool, count: int, streams: int) -> None:
        super().__init__(hub, changing, count)
        self._streams, self._stream_id = streams, 1
        self._by_fd = {end.fileno(): end for end in self._ends}
        self._came: dict[int, bytes] = {}
        for end in self._ends:
            end.send(OPENING)

    def ask(self) -> None:
        """Have each send its requests."""
        last = self._stream_id + 2 * self._streams
        wire = requests(range(self._stream_id, last, 2), self._number if self._changing else None)
        self._stream_id, self._number = last, self._number + self._streams
        for end in self._ends:
            end.send(wire)

    @property
    def have_answers(self) -> bool:
        """Whether each was answered, and the hub is done with that. What has come is taken."""
        if self._hub.statistics().tasks:
            return False
        for fd, _ in self._answered.poll(0, len(self._ends)):
            self._came[fd] = self._came.get(fd, b"") + self._by_fd[fd].recv(65536)
        count = len(self._ends)
        return len(self._came) == count and all(
            responses(wire) == self._streams for wire in self._came.values()
        )

    def take(self) -> None:
        """Forget the answers."""
        self._came.clear()


class Reader:
    """A process that asks for bulk and reads, at the other end of TCP."""

    def __init__(self, hub: Hub, streams: int, count: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._end = socket.create_connection(listener.getsockname())
            theirs, address = listener.accept()
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, 16384)
        theirs.setblocking(False)
        self._pid = os.fork()
        if not self._pid:
            theirs.close()
            try:
                self._read(streams, count)
            finally:
                os._exit(0)
        self._end.close()
        hub.take(Accepted(theirs, Address(*address[:2]), Address("127.0.0.1", 2)))

    def _read(self, streams: int, count: int) -> None:
        """Ask for so many, and read until all have come."""
        wanted = count * BULK_SIZE
        if streams:
            self._end.sendall(OPENING + requests(range(1, 2 * count, 2), None, BULK))
        else:
            self._end.sendall(b"GET /sized/64 HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        room = bytearray(1 << 18)
        while wanted > 0 and (size := self._end.recv_into(room)):
            wanted -= size

    @property
    def has_all(self) -> bool:
        """Whether it has read everything, and ended."""
        return os.waitpid(self._pid, os.WNOHANG)[0] != 0


async def measure_bulk(reactor: AbstractAsyncContextManager[Any], options: argparse.Namespace) -> None:
    """Measure bulk, and print."""
    counts, count = Counts(options.count), options.streams or 20
    async with reactor as running:
        hub = Hub(Application(bulk_async), running)
        reader = Reader(hub, options.streams, count)
        counts.begin()
        before = time.process_time()
        while not reader.has_all:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        took = time.process_time() - before
        counts.stop()
        hub.close()
    options.turns, options.connections, options.streams = count * BULK_SIZE // 65536, 1, 0
    _print(counts, [took / options.turns], options)


async def measure(
    reactor: AbstractAsyncContextManager[Any],
    options: argparse.Namespace,
    rest: Callable[[], Awaitable[None]],
) -> None:
    """Measure in a loop whose others run during `rest`, and print."""
    counts, turns = Counts(options.count), []
    async with reactor as running:
        hub = Hub(_application(options.kind), running)
        clients = _clients(hub, options)
        if options.kind == "pieces":
            clients.ask()
            while len(fanout_apps.queues) < options.connections:
                await rest()
        for turn in range(options.turns + WARM_UP):
            clients.ask()
            if turn >= WARM_UP:
                counts.begin()
            before = time.process_time()
            while not clients.have_answers:
                await rest()
            took = time.process_time() - before
            counts.stop()
            clients.take()
            turns.append(took)
        clients.close()
        hub.close()
    _print(counts, turns[WARM_UP:], options)


def _clients(hub: Hub, options: argparse.Namespace) -> Clients:
    if options.streams:
        return Http2Clients(hub, options.changing, options.connections, options.streams)
    return Clients(hub, options.changing, options.connections)


def _print(counts: Counts, turns: list[float], options: argparse.Namespace) -> None:
    at_once = options.connections * (options.streams or 1)
    served = options.turns * at_once
    if not options.count:
        least, middle, mean = (
            took / at_once * 1e6 for took in (min(turns), statistics.median(turns), statistics.mean(turns))
        )
        print(f"{least:.2f} µs at least, {middle:.2f} in the median, {mean:.2f} on average")
        return
    for kind in sorted({kind for kind, _ in counts.found}):
        own = {name: count / served for (found, name), count in counts.found.items() if found == kind}
        print(f"{sum(own.values()):8.1f} {kind}")
        if options.by_function:
            for name, count in sorted(own.items(), key=lambda item: -item[1]):
                if count > 0.05:
                    print(f"{count:12.2f} {name}")


def _application(kind: str) -> Application:
    if kind == "lua":
        from httpng_lua import LuaApplication

        return LuaApplication(HERE / "hello.lua", clock=time.monotonic)
    return Application(
        {"async": hello_async, "def": hello_plain, "asgi": asgi, "pieces": fanout_apps.asgi}[kind]
    )


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def _run(options: argparse.Namespace) -> None:
    if options.loop == "trio":
        import trio

        from httpng_trio.reactor import TrioReactor

        async def in_trio() -> None:
            await measure(TrioReactor(), options, trio.lowlevel.checkpoint)

        trio.run(in_trio)
        return
    from httpng_asyncio.reactor import AsyncioReactor

    async def in_asyncio() -> None:
        if options.kind == "bulk":
            await measure_bulk(AsyncioReactor(), options)
            return
        await measure(AsyncioReactor(), options, lambda: asyncio.sleep(0))

    if options.loop == "uvloop":
        import uvloop

        uvloop.run(in_asyncio())
    else:
        asyncio.run(in_asyncio())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "kind", nargs="?", choices=["async", "def", "lua", "asgi", "pieces", "bulk"], default="async"
    )
    parser.add_argument("loop", nargs="?", choices=["uvloop", "asyncio", "trio"], default="uvloop")
    parser.add_argument("--changing", action="store_true", help="a header is another in each request")
    parser.add_argument("--streams", type=int, default=0, help="HTTP/2, so many requests at once on each")
    parser.add_argument("--connections", type=int, default=CLIENTS)
    parser.add_argument("--count", choices=["calls", "codes"], default="")
    parser.add_argument("--by-function", action="store_true")
    parser.add_argument("--turns", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    _run(_options())
