"""Many clients at a time: some that download without an end, some that are killed at whatever they do."""

import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.driver.harness import BOUND, Client
from tests.driver.net import Transport
from tests.driver.tls_client import TlsClient
from tests.lua.requirements.scripts import Served

COUNT = 48
"""As many as in the original's tests."""


class Downloads:
    """Requests on a connection each, all of whose bytes are read and forgotten, in a thread.

    Attributes:
        count: how many there are.
        ended: how many connections the server has closed or reset.
        reset: how many of them it has reset.
    """

    def __init__(self, served: Served, over: Transport, count: int) -> None:
        self.count = count
        self.ended = self.reset = 0
        self._served, self._over = served, over
        self._clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        self._over_with = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """Sends all requests; blocks for that long."""
        for _ in range(self.count):
            client = self._served.client(self._over)
            self._clients.append(client)
            client.shake()
            client.request()
            self._selector.register(client.socket, selectors.EVENT_READ)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over_with.set()
        if self._thread.is_alive():
            self._thread.join(BOUND)
        for client in self._clients:
            client.close()
        self._selector.close()

    def _read(self) -> None:
        while not self._over_with.is_set():
            for key, _ in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)
                if not self._receive(key.fileobj):
                    self._selector.unregister(key.fileobj)
                    # As every client does; else the server would linger for a while.
                    key.fileobj.close()
                    self.ended += 1

    def _receive(self, sock: socket.socket) -> bytes:
        try:
            return sock.recv(1 << 16)
        except ConnectionResetError:
            self.reset += 1
            return b""


# Killed -------------------------------------------------------------------------------------------------


def kill_a_crowd(served: Served, over: Transport, paths: list[str]) -> None:
    """Clients that are gone after 10 ms, each at another point; blocks."""
    clients = []
    for number in range(COUNT):
        client = served.client(over)
        clients.append(client)
        _advance(client, number % 5, paths[number % len(paths)])
    time.sleep(0.01)
    for number, client in enumerate(clients):
        end = client.reset if number % 2 else client.close
        end()


def _advance(client: Client, steps: int, path: str) -> None:
    """Connected; a part of what it says first; shaken hands; asked; answered in part."""
    if steps == 1:
        _begin(client, path)
    if steps >= 2:
        client.shake()
    if steps >= 3:
        client.request(path)
    if steps >= 4:
        client.receive(10)


def _begin(client: Client, path: str) -> None:
    if isinstance(client, TlsClient):
        client.tls.shake()
        client.socket.sendall(client.tls.take()[:-1])
    else:
        client.send(client.prepare(path)[:-1])
