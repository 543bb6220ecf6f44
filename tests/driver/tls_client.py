"""A client over TLS, which opens the server's records one by one and notes what each carried, by itself.

So a test can say which plaintext a client has that was given just so many sealed bytes.
"""

from typing import ClassVar

from tests.certificates import trusting
from tests.driver.http1_client import Client

from httpng_core import CertificateFiles, ListenAddress
from httpng_core.testing import TlsEnd

_HEADER = 5


class TlsClient(Client):
    """A client over TLS: what it has read is plaintext, in `wire`, and as it came, in `sealed`.

    Attributes:
        said_all: the server's close_notify has come.
    """

    alpn: ClassVar[list[str]] = ["http/1.1"]

    def __init__(
        self,
        address: ListenAddress,
        pair: CertificateFiles,
        *,
        receive_buffer: int | None = None,
        name: str = "localhost",
    ) -> None:
        """`name` is the server's, which its certificate must have."""
        super().__init__(address, receive_buffer=receive_buffer)
        context = trusting(pair)
        context.set_alpn_protocols(self.alpn)
        self.tls = TlsEnd(context, server_side=False, server_hostname=name)
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
        assert self.tls.protocol in self.alpn

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
            self.ended = self.ended or "fin"
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
