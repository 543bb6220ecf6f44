"""Many clients of streams in one thread; each comes back when its stream has ended, with what it had last."""

import re
import selectors
import threading
import time
from dataclasses import dataclass, field
from socket import create_connection, socket

from tests.driver.harness import BOUND

from httpng_core import ListenAddress

_UPDATE = re.compile(rb"id: (\S+)\ndata: (\w+) (\d+)\n\n")
_PAUSE = 0.1
"""Between two looks, so that a look has several messages of each client: few clients look at each tick."""
_MASK = bytes(4)
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


@dataclass
class End:
    """How a stream ended: when, and by what."""

    at: float
    how: str


@dataclass(eq=False)
class StreamClient:
    """One client.

    Attributes:
        newest: of each key the newest number that came.
        last_id: the id that came last.
        ends: how its streams have ended: "goodbye", a WebSocket's close code, or "cut".
        failures: what went wrong.
    """

    is_websocket: bool
    path: str = "/"
    newest: dict[str, int] = field(default_factory=dict)
    last_id: str = ""
    ends: list[End] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    connection: socket | None = None
    _kept: bytes = b""
    _is_open: bool = False

    def hello(self) -> bytes:
        """What opens the stream."""
        self._kept, self._is_open = b"", False
        if self.is_websocket:
            return (
                f"GET {self.path}?{self.last_id} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n"
                "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ).encode()
        again = f"last-event-id: {self.last_id}\r\n" if self.last_id else ""
        return f"GET {self.path} HTTP/1.1\r\nhost: x\r\n{again}\r\n".encode()

    def take(self, data: bytes, reply: socket) -> str | None:
        """Take what came; return how the stream ended if it did."""
        data = self._kept + data
        if not self._is_open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._kept = head
                return None
            expected = b"HTTP/1.1 101" if self.is_websocket else b"HTTP/1.1 200"
            if not head.startswith(expected):
                self.failures.append(repr(head))
            self._is_open = True
        if self.is_websocket:
            return self._take_frames(data, reply)
        last = data.rfind(b"\n\n")
        for update in _UPDATE.finditer(data):
            self._note(update[1], update[2], update[3])
        self._kept = data[max(last, 0) :] if len(data) < 100_000 else b""
        if data.endswith(b"\r\n0\r\n\r\n"):
            return "goodbye" if b"event: bye" in data else "ended"
        return None

    def _take_frames(self, data: bytes, reply: socket) -> str | None:
        while len(data) >= 2:
            kind, size = data[0], data[1]
            assert size < 126, "the frames of these tests are short"
            if len(data) < 2 + size:
                break
            payload, data = data[2 : 2 + size], data[2 + size :]
            if kind == _TEXT and payload.count(b" ") == 2:
                self._note(*payload.split(b" "))
            elif kind == _PING:
                reply.send(bytes([_PONG, 0x80 | size]) + _MASK + payload)
            elif kind == _CLOSE:
                reply.send(bytes([_CLOSE, 0x80 | size]) + _MASK + payload)
                return str(int.from_bytes(payload[:2], "big"))
        self._kept = data
        return None

    def _note(self, name: bytes, key: bytes, number: bytes) -> None:
        self.last_id = name.decode()
        self.newest[key.decode()] = int(number)


class StreamClients(threading.Thread):
    """All of them, until the end of the `with` block."""

    def __init__(self, address: ListenAddress, clients: list[StreamClient]) -> None:
        super().__init__(daemon=True)
        self.clients = clients
        self._address = (str(address.host), int(address.port))
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()

    def __enter__(self) -> "StreamClients":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close all of them."""
        self._is_over.set()
        self.join(BOUND)

    def newest(self, key: str) -> int:
        """The oldest of what the clients have as the newest number of a key."""
        return min(client.newest.get(key, 0) for client in self.clients)

    def ends(self) -> list[End]:
        return [end for client in self.clients for end in client.ends]

    def failures(self) -> list[str]:
        return [failure for client in self.clients for failure in client.failures]

    def run(self) -> None:
        for client in self.clients:
            self._connect(client)
        while not self._is_over.wait(_PAUSE):
            for key, _ in self._selector.select(0.5):
                self._read(key.data)
        for client in self.clients:
            if client.connection is not None:
                client.connection.close()
        self._selector.close()

    def _connect(self, client: StreamClient) -> None:
        try:
            made = create_connection(self._address, BOUND)
            made.send(client.hello())
        except OSError as error:
            client.failures.append(f"connecting: {error!r}")
            return
        made.setblocking(False)
        client.connection = made
        self._selector.register(made, selectors.EVENT_READ, client)

    def _read(self, client: StreamClient) -> None:
        sock = client.connection
        assert sock is not None
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        end = client.take(data, sock) if data else "cut"
        if end is None:
            return
        client.ends.append(End(time.monotonic(), end))
        self._selector.unregister(sock)
        sock.close()
        client.connection = None
        self._connect(client)
