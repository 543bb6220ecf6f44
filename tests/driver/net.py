"""The same test whatever carries the exchange: how to serve, and a client that speaks it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.certificates import as_conf
from tests.driver.counts import Body, Body1, Body2
from tests.driver.harness import MANY_CLIENTS, Client, Serving, in_thread, standstill
from tests.driver.http2_client import WIDE, Client2, Stall, TlsClient2
from tests.driver.tls_client import TlsClient

from httpng_core import CertificateFiles, TlsFiles
from httpng_driver import Server
from httpng_driver.loop import Pump


@dataclass(frozen=True)
class Transport:
    """What carries an exchange.

    Attributes:
        http2: HTTP/2, else HTTP/1.1.
        tls: over TLS, else in clear text.
        stall: what a client withholds that doesn't read the body: see `Stall`.
    """

    http2: bool = False
    tls: bool = False
    stall: Stall = "socket"

    def __str__(self) -> str:
        name = f"http{2 if self.http2 else 1}-{'tls' if self.tls else 'plain'}"
        return name if self.stall == "socket" else f"{name}-closed-{self.stall}"


HTTP1 = Transport()
TRANSPORTS = [HTTP1, Transport(tls=True), Transport(http2=True), Transport(http2=True, tls=True)]
ON_ALL_LOOPS = [HTTP1, Transport(http2=True, tls=True)]
"""The simplest and the one that has all."""
CLOSED_WINDOWS = [
    Transport(http2=True, stall="stream"),
    Transport(http2=True, tls=True, stall="stream"),
    Transport(http2=True, stall="connection"),
]
"""A client that reads all the time, and gives no room."""


class Net:
    """A transport, and what it takes to serve over it: a certificate."""

    def __init__(self, serving: Serving, transport: Transport, pair: CertificateFiles) -> None:
        self._serving = serving
        self.transport = transport
        self._pair = pair

    @property
    def many(self) -> int:
        """How many clients there are where there are many."""
        return MANY_CLIENTS if self.transport == HTTP1 else MANY_CLIENTS // 8

    def serving(self, app: object, **cfg: Any) -> AbstractAsyncContextManager[Server]:
        """See `Serving`."""
        listen: object = as_conf(TlsFiles((self._pair,))) if self.transport.tls else "127.0.0.1:0"
        return self._serving(app, listen=listen, **cfg)

    @asynccontextmanager
    async def connect(self, server: Server, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A client, its handshake done."""
        with self.client(server, receive_buffer=receive_buffer) as client:
            if self.transport.tls:
                await in_thread(client.shake)
            yield client

    def client(self, server: Server, *, receive_buffer: int | None = None) -> Client:
        """A client that has connected, and no more."""
        address, buffer, stall = server.addresses[0], receive_buffer, self.transport.stall
        if self.transport.http2:
            return self.client2(server, receive_buffer=buffer, stall=stall)
        if self.transport.tls:
            return TlsClient(address, self._pair, receive_buffer=buffer)
        return Client(address, receive_buffer=buffer)

    @asynccontextmanager
    async def connect2(self, server: Server, window: int = WIDE, **more: Any) -> AsyncIterator[Client2]:
        """A client of HTTP/2, each stream with `window` bytes of room, and no more by itself."""
        with self.client2(server, window=window, **more) as client:
            await in_thread(client.shake)
            yield client

    def client2(self, server: Server, **more: Any) -> Client2:
        """A client of HTTP/2 that has connected, and no more."""
        address = server.addresses[0]
        return TlsClient2(address, self._pair, **more) if self.transport.tls else Client2(address, **more)

    def body(self) -> Body:
        """Counts what plaintext carries."""
        return Body2() if self.transport.http2 else Body1()

    def body_size(self, plaintext: bytes) -> int:
        """How many bytes of the newest response some plaintext carries."""
        body = self.body()
        body.feed(plaintext)
        return body.size

    async def standstill(self, pump: Pump, client: Client) -> int:
        """Waits until a client that doesn't read the body holds the server up; gives `kernel_accepted`."""
        await in_thread(client.stall)
        return await standstill(pump.socket, is_full=self.transport.stall == "socket")
