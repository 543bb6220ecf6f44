"""The same test over plain TCP and over TLS: how to serve, and a client that speaks it.

The TLS client opens the server's records one by one and notes what each carried, by itself: so a test can
say which plaintext a client has that was given just so many sealed bytes.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.certificates import as_conf, trusting
from tests.driver.harness import Client, Serving, in_thread

from httpng_core import CertificateFiles, ListenAddress, TlsFiles
from httpng_core.testing import TlsEnd
from httpng_driver import Server

_HEADER = 5


class TlsClient(Client):
    """A client over TLS: what it has read is plaintext, in `wire`, and as it came, in `sealed`.

    Attributes:
        said_all: the server's close_notify has come.
    """

    def __init__(
        self, address: ListenAddress, pair: CertificateFiles, *, receive_buffer: int | None = None
    ) -> None:
        super().__init__(address, receive_buffer=receive_buffer)
        self.tls = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
        self.sealed = bytearray()
        self.said_all = False
        self._shaken = False
        self._plain = bytearray()
        self._opened = 0
        self._ends: list[tuple[int, int]] = [(0, 0)]

    def shake(self) -> None:
        """Goes through the handshake; blocks."""
        while not self._shaken:
            self._shaken = self.tls.shake()
            self.socket.sendall(self.tls.take())
            if not self._shaken:
                self._take(self._receive_sealed(1 << 16))

    def send(self, data: bytes) -> None:
        self.tls.seal(data)
        self.socket.sendall(self.tls.take())

    def receive(self, limit: int = 1 << 16) -> bytes:
        while data := self._receive_sealed(limit):
            if opened := self._take(data):
                return opened
        return b""

    def read_wire(self, size: int) -> bytes:
        while self.read < size and (data := self._receive_sealed(min(size - self.read, 1 << 16))):
            self._take(data)
        return self.carried(size)

    @property
    def read(self) -> int:
        return len(self.sealed)

    def carried(self, size: int) -> bytes:
        plain = max(plain for end, plain in self._ends if end <= size)
        return bytes(self._plain[self.taken : plain])

    def half_close(self, data: bytes = b"") -> None:
        """A FIN without a close_notify."""
        if data:
            self.tls.seal(data)
        super().half_close(self.tls.take())

    def say_all(self) -> None:
        """A close_notify, and no FIN yet."""
        self.tls.close()
        self.socket.sendall(self.tls.take())

    def _receive_sealed(self, limit: int) -> bytes:
        try:
            data = self.socket.recv(limit)
        except ConnectionResetError:
            self.ended = "reset"
            return b""
        self.sealed += data
        if not data:
            self.ended = "fin"
        return data

    def _take(self, data: bytes) -> bytes:
        before = len(self._plain)
        while len(record := self._next_record()) > 0:
            self.tls.receive(record)
            self._shaken = self._shaken or self.tls.shake()
            while self._shaken and not self.said_all and (opened := self.tls.read()) is not None:
                self.said_all = not opened
                self._plain += opened
            self._opened += len(record)
            self._ends.append((self._opened, len(self._plain)))
        self.wire += self._plain[before:]
        return bytes(self._plain[before:])

    def _next_record(self) -> bytes:
        rest = self.sealed[self._opened :]
        size = _HEADER + int.from_bytes(rest[3:_HEADER])
        return bytes(rest[:size]) if _HEADER <= len(rest) >= size else b""


class Net:
    """Plain TCP, or TLS with a certificate.

    Attributes:
        pair: the certificate, `None` for plain TCP.
    """

    def __init__(self, serving: Serving, pair: CertificateFiles | None) -> None:
        self._serving = serving
        self.pair = pair

    def serving(self, app: object, **cfg: Any) -> AbstractAsyncContextManager[Server]:
        """See `Serving`."""
        listen: object = "127.0.0.1:0" if self.pair is None else as_conf(TlsFiles((self.pair,)))
        return self._serving(app, listen=listen, **cfg)

    @asynccontextmanager
    async def connect(self, server: Server, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A client, its handshake done."""
        if self.pair is None:
            client = Client(server.addresses[0], receive_buffer=receive_buffer)
        else:
            client = TlsClient(server.addresses[0], self.pair, receive_buffer=receive_buffer)
        with client:
            await in_thread(client.shake)
            yield client
