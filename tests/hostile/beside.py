"""Runs an attack beside a healthy client: what the peer sees, what it costs, how long the other waits."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import h11
from tests.driver.harness import in_thread, turns_of, until
from tests.hostile.bank import Attack

from httpng_core import ListenAddress, Request
from httpng_driver import Server

BOUND = 60.0
HEALTHY = b"GET /healthy HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True)
class Seen:
    """What came of an attack.

    Attributes:
        statuses: of the responses to the attacker.
        body: of the last of them.
        memory: the most bytes that the process took more than before.
        turns: the most turns of the loop that a request of the healthy client waited to be handled.
        together: the most requests of the attacker that were handled in one turn of the loop.
        seconds: the longest that the healthy client waited for a response.
        healthy: how many responses it got.
    """

    statuses: list[int]
    body: bytes
    memory: int
    turns: int
    together: int
    seconds: float
    healthy: int


class Target:
    """An application that tells in which turn it handles the requests of the healthy client.

    Attributes:
        server: the one that calls it.
        together: the most requests of others that it has handled in one turn.
    """

    def __init__(self) -> None:
        self.server: Server | None = None
        self.together = 0
        self._turn = self._handled = 0

    def __call__(self, req: Request) -> str:
        turn = turns_of(self.server) if self.server is not None else 0
        if req.path == "/healthy":
            return str(turn)
        if turn != self._turn:
            self._turn, self._handled = turn, 0
        self._handled += 1
        self.together = max(self.together, self._handled)
        return f"{len(req.body)} bytes"


class Healthy:
    """Asks again and again, one request after the other, in the loop of the server: so turns are exact."""

    def __init__(self, server: Server) -> None:
        self.turns = self.count = 0
        self.seconds = 0.0
        self._server = server

    async def run(self) -> None:
        """Ask until it is cancelled."""
        address = self._server.addresses[0]
        async with await anyio.connect_tcp(address.host, address.port) as stream:
            while True:
                turns = turns_of(self._server)
                began = time.perf_counter()
                await stream.send(HEALTHY)
                response = await stream.receive()
                self.seconds = max(self.seconds, time.perf_counter() - began)
                self.turns = max(self.turns, int(response.partition(b"\r\n\r\n")[2]) - turns)
                self.count += 1


def _attack(address: ListenAddress, attack: Attack) -> tuple[list[int], bytes]:
    """Send all that the server takes, and read what it says, at the same time."""
    with socket.create_connection((address.host, address.port), timeout=BOUND) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender = threading.Thread(target=_send, args=(sock, attack))
        sender.start()
        seen = _read(sock, attack.responses)
        # It need not have sent all.
        sock.shutdown(socket.SHUT_RDWR)
        sender.join(BOUND)
    return seen


def _send(sock: socket.socket, attack: Attack) -> None:
    try:
        for piece in attack.pieces():
            sock.sendall(piece)
    except OSError:
        return


def _read(sock: socket.socket, responses: int) -> tuple[list[int], bytes]:
    statuses: list[int] = []
    body = b""
    client = h11.Connection(h11.CLIENT)
    while len(statuses) < responses:
        client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                data = sock.recv(65536)
                if not data:
                    return statuses, body
                client.receive_data(data)
            elif isinstance(event, h11.Response):
                statuses.append(event.status_code)
                body = b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        if client.their_state is not h11.DONE:
            break
        client.start_next_cycle()
    return statuses, body


async def beside(server: Server, target: Target, attack: Attack, *, memory: bool = True) -> Seen:
    """Run `attack` on a server of `target`, and a healthy client beside it.

    Without `memory` that isn't measured, which would slow all down.
    """
    target.server = server
    healthy = Healthy(server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(healthy.run)
        await until(lambda: healthy.count, "the healthy client is served")
        with traced(memory) as grown:
            statuses, body = await in_thread(_attack, server.addresses[0], attack)
            size = grown()
        tasks.cancel_scope.cancel()
    return Seen(statuses, body, size, healthy.turns, target.together, healthy.seconds, healthy.count)


@contextmanager
def traced(on: bool = True) -> Iterator[Callable[[], int]]:
    """`with traced() as grown`: `grown()` is by how much memory has grown at most."""
    if not on:
        yield lambda: 0
        return
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
