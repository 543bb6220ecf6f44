"""Many clients of streams in one thread: each comes back when its stream has ended, with its last id."""

import random
import re
import selectors
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.driver.harness import BOUND

from httpng_core import ListenAddress

Habit = Literal["reads", "is slow", "stalls", "resets"]
"""How a client behaves: what is slow takes 1 KiB at each look, what resets does so within seconds."""

_PAUSE = 0.1
"""Between two looks, so that at each there are several messages of a client: the thread is not too busy."""
_UPDATE = re.compile(rb"id: (\S+)\ndata: (\w+) (\d+)")
_MASK = bytes(4)
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_RESET = struct.pack("ii", 1, 0)
_RESETS_AFTER = 3.0
_STALLED = 8192
_ERROR = socket.SOL_SOCKET, socket.SO_ERROR


@dataclass
class End:
    """How a stream ended: when, and by what."""

    at: float
    how: str


class StreamClient(ABC):
    """One client.

    Attributes:
        newest: of each key the newest number that came.
        last_id: the id that came last.
        ends: how its streams have ended; "cut" is without a word.
        failures: what went wrong.
        connection: while it has one.
        resets_at: when it resets that.
    """

    def __init__(self, habit: Habit = "reads") -> None:
        self.habit = habit
        self.newest: dict[str, int] = {}
        self.last_id = ""
        self.ends: list[End] = []
        self.failures: list[str] = []
        self.connection: socket.socket | None = None
        self.resets_at = float("inf")

    @abstractmethod
    def hello(self) -> bytes:
        """What asks for the stream."""

    @abstractmethod
    def take(self, data: bytes, reply: socket.socket) -> str | None:
        """Take what came; return how the stream ended if it did."""

    def note(self, name: bytes, key: bytes, number: bytes) -> None:
        self.last_id = name.decode()
        self.newest[key.decode()] = int(number)


class EventClient(StreamClient):
    """Server-sent events over HTTP/1.1."""

    _kept = b""
    _has_head = _has_bye = False

    def hello(self) -> bytes:
        self._kept, self._has_head, self._has_bye = b"", False, False
        again = f"last-event-id: {self.last_id}\r\n" if self.last_id else ""
        return f"GET / HTTP/1.1\r\nhost: x\r\n{again}\r\n".encode()

    def take(self, data: bytes, reply: socket.socket) -> str | None:
        data = self._kept + data
        if not self._has_head:
            head, self._has_head, rest = _head(self, data, b"200")
            data = rest if self._has_head else head
        for update in _UPDATE.finditer(data):
            self.note(update[1], update[2], update[3])
        # The last chunk may come after it.
        self._has_bye = self._has_bye or b"event: bye" in data
        # The last event may not be whole.
        self._kept = data[max(data.rfind(b"\n\n"), 0) :]
        if data.endswith(b"\r\n0\r\n\r\n"):
            return "goodbye" if self._has_bye else "ended"
        return None


class MessageClient(StreamClient):
    """A WebSocket over HTTP/1.1; its streams end with the code of a Close frame."""

    _kept = b""
    _has_head = False

    def hello(self) -> bytes:
        self._kept, self._has_head = b"", False
        return (
            f"GET /?{self.last_id} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()

    def take(self, data: bytes, reply: socket.socket) -> str | None:
        data = self._kept + data
        if not self._has_head:
            head, self._has_head, data = _head(self, data, b"101")
            if not self._has_head:
                self._kept = head
                return None
        while len(data) >= 2 and len(data) >= 2 + data[1]:
            kind, size = data[0], data[1]
            assert size < 126, "the frames of these tests are short"
            payload, data = data[2 : 2 + size], data[2 + size :]
            if kind == _TEXT and payload.count(b" ") == 2:
                self.note(*payload.split(b" "))
            elif kind == _PING:
                reply.send(bytes([_PONG, 0x80 | size]) + _MASK + payload)
            elif kind == _CLOSE:
                reply.send(bytes([_CLOSE, 0x80 | size]) + _MASK + payload)
                return str(int.from_bytes(payload[:2], "big"))
        self._kept = data
        return None


class Http2Client(StreamClient):
    """Server-sent events over HTTP/2, by prior knowledge; h2 takes nothing more once a GOAWAY has come."""

    _kept = _text = b""

    def hello(self) -> bytes:
        self._kept = self._text = b""
        fields = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
        if self.last_id:
            fields.append(("last-event-id", self.last_id))
        request = HeadersFrame(1, hpack.Encoder().encode(fields), flags=["END_HEADERS", "END_STREAM"])
        return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize() + request.serialize()

    def take(self, data: bytes, reply: socket.socket) -> str | None:
        data = self._kept + data
        end, answer = None, b""
        while len(data) >= 9:
            frame, size = Frame.parse_frame_header(memoryview(data[:9]))
            if len(data) < 9 + size:
                break
            frame.parse_body(memoryview(data[9 : 9 + size]))
            data = data[9 + size :]
            if isinstance(frame, DataFrame):
                self._note_updates(frame.data)
                if size:
                    answer += WindowUpdateFrame(0, size).serialize() + WindowUpdateFrame(1, size).serialize()
                if "END_STREAM" in frame.flags:
                    end = "goodbye" if b"event: bye" in self._text else "ended"
            elif isinstance(frame, RstStreamFrame):
                end = f"reset {frame.error_code}"
            elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                answer += PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize()
            elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                answer += SettingsFrame(0, flags=["ACK"]).serialize()
        self._kept = data
        if answer:
            reply.send(answer)
        return end

    def _note_updates(self, data: bytes) -> None:
        self._text = self._text[-300:] + data
        for update in _UPDATE.finditer(self._text):
            self.note(update[1], update[2], update[3])


def _head(client: StreamClient, data: bytes, status: bytes) -> tuple[bytes, bool, bytes]:
    """Split a head from what follows it, if it is whole, and look at its status."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if found and not head.startswith(b"HTTP/1.1 " + status):
        client.failures.append(repr(head))
    return head, bool(found), rest


class StreamClients(threading.Thread):
    """All of them, until the end of the `with` block."""

    def __init__(self, address: ListenAddress, clients: Iterable[StreamClient]) -> None:
        super().__init__(daemon=True)
        self.clients = list(clients)
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
        """What the client that is farthest behind has as the newest number of a key, of those that read."""
        return min(client.newest.get(key, 0) for client in self.clients if client.habit == "reads")

    def behind(self, since: int) -> list[str]:
        """Who of those that read has not got a newer number of each key, and how they stand."""
        if not self.is_alive():
            return ["all: their thread has ended"]
        return [
            f"{type(client).__name__} {client.last_id!r}, ends: {[end.how for end in client.ends[-3:]]}"
            for client in self.clients
            if client.habit == "reads" and min(client.newest.values(), default=0) < since
        ]

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
            now = time.monotonic()
            for client in self.clients:
                if now > client.resets_at:
                    self._reset(client)
                elif client.connection is None:
                    self._connect(client)
                elif client.habit == "stalls" and client.connection.getsockopt(*_ERROR):
                    client.ends.append(End(now, "cut"))
                    client.connection.close()
                    self._connect(client)
        for client in self.clients:
            if client.connection is not None:
                client.connection.close()
        self._selector.close()

    def _connect(self, client: StreamClient) -> None:
        made = socket.socket()
        try:
            if client.habit in ("is slow", "stalls"):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED)
            made.settimeout(BOUND)
            made.connect(self._address)
            made.send(client.hello())
        except OSError as error:
            made.close()
            client.failures.append(f"connecting: {error!r}")
            client.connection = None
            return
        made.setblocking(False)
        client.connection = made
        if client.habit == "resets":
            client.resets_at = time.monotonic() + random.uniform(0, _RESETS_AFTER)
        if client.habit != "stalls":
            self._selector.register(made, selectors.EVENT_READ, client)

    def _read(self, client: StreamClient) -> None:
        sock = client.connection
        assert sock is not None
        try:
            data = sock.recv(1024 if client.habit == "is slow" else 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            end = client.take(data, sock) if data else "cut"
        except OSError:
            end = "cut"
        if end is not None:
            client.ends.append(End(time.monotonic(), end))
            self._close(client)
            self._connect(client)

    def _reset(self, client: StreamClient) -> None:
        sock = client.connection
        client.resets_at = float("inf")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close(client)

    def _close(self, client: StreamClient) -> None:
        assert client.connection is not None
        self._selector.unregister(client.connection)
        client.connection.close()
        client.connection = None
