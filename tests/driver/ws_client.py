"""A WebSocket client on any transport: it frames what it says itself, and decodes what comes by wsproto."""

import socket
from collections import deque

from tests.core.websocket.speaking import KEY, frame
from tests.driver.http1_client import Client
from tests.driver.http2_client import Client2
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode


class WsClient:
    """A WebSocket on a connected client.

    Attributes:
        client: what carries it.
        closed: code and reason of the server's CLOSE, once it has come.
        answers: whether PINGs are answered while it reads.
        pings: the payloads of the server's PINGs.
        pongs: those of its PONGs.
        status: what the handshake was answered with.
        fields: the headers of the answer.
    """

    def __init__(self, client: Client, *, compressed: bool = False) -> None:
        self.client = client
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deflate = PerMessageDeflate()
        if compressed:
            deflate.finalize("permessage-deflate; server_no_context_takeover")
        self._frames = FrameProtocol(client=True, extensions=[deflate] if compressed else [])
        self._parts: list[str | bytes] = []
        self._fed = 0
        self._compressed = compressed
        self.messages: deque[str | bytes] = deque()
        self.closed: tuple[int, str] | None = None
        self.answers = False
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.status = 0
        self.fields: dict[str, str] = {}
        self._number = 0

    def shake(self, path: str = "/", **headers: str) -> None:
        """Goes through the opening handshake; blocks."""
        fields = [("sec-websocket-version", "13")]
        if self._compressed:
            fields.append(("sec-websocket-extensions", "permessage-deflate"))
        fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
        if isinstance(self.client, Client2):
            self._shake2(self.client, path, fields)
        else:
            ask = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-key", KEY)]
            self.client.request(path, headers=ask + fields)
            while b"\r\n\r\n" not in self.client.wire:
                assert self.client.receive(), "the server ended in the handshake"
            head, _, _ = bytes(self.client.wire).partition(b"\r\n\r\n")
            self._fed = len(head) + 4
            lines = head.decode().split("\r\n")
            self.status = int(lines[0].split()[1])
            self.fields = dict(line.split(": ", 1) for line in lines[1:])

    def _shake2(self, client: Client2, path: str, fields: list[tuple[str, str]]) -> None:
        client.say()
        while client.http2.h2.remote_settings.enable_connect_protocol != 1:
            assert client.receive(), "the server ended before its settings"
        number = self._number = client.http2.h2.get_next_available_stream_id()
        pseudo = ((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"))
        where = ((":path", path), (":authority", client.authority))
        client.http2.send_fields(number, (*pseudo, *where, *fields), None)
        client.adopt(number)
        client.say()
        stream = client.http2.streams[number]
        while not stream.status:
            assert client.receive(), "the server ended in the handshake"
        self.status, self.fields = stream.status, stream.headers

    def send(self, data: bytes) -> None:
        """Sends bytes of the WebSocket; blocks while the server takes none."""
        if not isinstance(self.client, Client2):
            self.client.send(data)
            return
        h2 = self.client.http2.h2
        while data:
            room = min(h2.local_flow_control_window(self._number), h2.max_outbound_frame_size)
            if not room:
                assert self.client.receive(), "the server ended"
                continue
            h2.send_data(self._number, data[:room])
            data = data[room:]
            self.client.say()

    def say(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.send(frame(1, message.encode()))
        else:
            self.send(frame(2, message))

    def close(self, code: int = 1000) -> None:
        self.send(frame(8, code.to_bytes(2, "big")))

    def read(self) -> str | bytes | None:
        """Reads the next message; `None` behind the server's CLOSE or end. Answers PINGs if it is to."""
        self.decode()
        while not self.messages and self.closed is None and self._receive():
            pass
        return self.messages.popleft() if self.messages else None

    def read_all(self) -> list[str | bytes]:
        """Reads to the end."""
        told: list[str | bytes] = []
        while (message := self.read()) is not None:
            told.append(message)
        return told

    def decode(self) -> None:
        """Decodes what has come."""
        come = self.client.http2.streams[self._number].body if self._number else self.client.wire  # type: ignore[attr-defined]
        self._frames.receive_bytes(bytes(come[self._fed :]))
        self._fed = len(come)
        for one in self._frames.received_frames():
            if one.opcode is Opcode.CLOSE:
                assert isinstance(one.payload, tuple)
                self.closed = int(one.payload[0]), one.payload[1] or ""
            elif one.opcode.iscontrol():
                assert isinstance(one.payload, bytes)
                (self.pings if one.opcode is Opcode.PING else self.pongs).append(one.payload)
                if one.opcode is Opcode.PING and self.answers:
                    self.send(frame(10, one.payload))
            else:
                assert not isinstance(one.payload, tuple)
                self._parts.append(one.payload)
                if one.message_finished:
                    parts, self._parts = self._parts, []
                    empty = parts[0][:0]
                    self.messages.append(empty.join(parts))  # type: ignore[arg-type]

    def _receive(self) -> bool:
        come = bool(self.client.receive())
        self.decode()
        stream = self.client.http2.streams[self._number] if isinstance(self.client, Client2) else None
        return come and not (stream is not None and (stream.complete or stream.reset is not None))
