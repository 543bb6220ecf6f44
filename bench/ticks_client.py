"""Reads the ticks of several servers at once and tells when each had arrived whole.

    python -m bench.ticks_client SECONDS WARM_UP SCHEME://ADDR:PORT/PATH ...

The schemes are http, h2c (HTTP/2 by prior knowledge), https and h2 (HTTP/2 over TLS, by ALPN), ws and wss, of
which each message is a tick, and events: server-sent events over TLS, each with a tick as its data, which are
confirmed as the script for pages does. Prints JSON: for each, its pairs of arrival (CLOCK_MONOTONIC) and
number, from the warm-up on.
"""

import json
import selectors
import socket
import ssl
import sys
import time

import h11
from bench import ticks
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from h2.settings import SettingCodes
from wsproto import ConnectionType, WSConnection
from wsproto.events import BytesMessage, Ping, Request

LARGEST_WINDOW = 2**31 - 1
"""No tick waits for the client's flow control."""


class Http1:
    """A response of HTTP/1.1 that comes in."""

    def __init__(self, path: str) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=path, headers=[("Host", "bench")])
        self.asked = (self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")

    def body(self, data: bytes) -> tuple[bytes, bytes]:
        """The body bytes in `data`, and what is to be sent back."""
        self._h11.receive_data(data)
        body = b""
        while isinstance(event := self._h11.next_event(), h11.Response | h11.Data):
            if isinstance(event, h11.Data):
                body += event.data
        return body, b""


class Http2:
    """A response of HTTP/2 that comes in."""

    def __init__(self, path: str) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True))
        self._h2.local_settings.update({SettingCodes.INITIAL_WINDOW_SIZE: LARGEST_WINDOW})
        self._h2.local_settings.acknowledge()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(LARGEST_WINDOW - 65535)
        fields = {":method": "GET", ":scheme": "http", ":authority": "bench", ":path": path}
        self._h2.send_headers(1, list(fields.items()), end_stream=True)
        self.asked = self._h2.data_to_send()

    def body(self, data: bytes) -> tuple[bytes, bytes]:
        """The body bytes in `data`, and what is to be sent back."""
        happened = self._h2.receive_data(data)
        body = b"".join(event.data for event in happened if isinstance(event, DataReceived))
        return body, self._h2.data_to_send()


class Messages:
    """The messages of a WebSocket that come in; PINGs are answered, as everybody does."""

    def __init__(self, path: str) -> None:
        self._ws = WSConnection(ConnectionType.CLIENT)
        self.asked = self._ws.send(Request(host="bench", target=path))

    def body(self, data: bytes) -> tuple[bytes, bytes]:
        """The bytes of messages in `data`, and what is to be sent back."""
        self._ws.receive_data(data)
        body = answer = b""
        for event in self._ws.events():
            if isinstance(event, BytesMessage):
                body += event.data
            elif isinstance(event, Ping):
                answer += self._ws.send(event.response())
        return body, answer


class Events:
    """A stream of server-sent events that comes in.

    Attributes:
        confirm: what it is to be confirmed by next, if anything is: the body of a request.
    """

    def __init__(self, path: str) -> None:
        self._response = Http1(path)
        self.asked = self._response.asked
        self.confirm = b""
        self._token = b""
        self._rest = b""

    def body(self, data: bytes) -> tuple[bytes, bytes]:
        """The bytes of ticks in `data`; nothing is sent back here."""
        body, _ = self._response.body(data)
        *events, self._rest = (self._rest + body).split(b"\n\n")
        found = b""
        for event in events:
            fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line)
            kind, told = fields.get(b"event"), fields.get(b"data", b"")
            if kind == b"confirmations":
                self._token = json.loads(told)["token"].encode()
            elif kind == b"confirm":
                self.confirm = self._token + b" " + told
            elif told:
                found += told + b"\n"
        return found, b""


class Confirming:
    """The connection by which a stream is confirmed: one request at a time, of the newest position."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._is_busy = False
        self._next = b""

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def tell(self, body: bytes) -> None:
        """Sends a request, or has it be the next."""
        self._next = body
        if not self._is_busy:
            head = f"POST /confirm HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n"
            self._socket.sendall(head.encode() + body)
            self._is_busy, self._next = True, b""

    def read(self) -> bool:
        """Takes the answer; whether there may be more to come."""
        try:
            if not self._socket.recv(65536):
                return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        self._is_busy = False
        if self._next:
            self.tell(self._next)
        return True


class Reader:
    """One connection: a plain reader that takes what there is, when it is there."""

    def __init__(self, scheme: str, host: str, port: int, path: str) -> None:
        self.arrived: list[tuple[float, int]] = []
        self._socket = socket.create_connection((host, port), timeout=30)
        if scheme in ("https", "h2", "wss", "events"):
            self._socket = _over_tls(self._socket, "h2" if scheme == "h2" else "http/1.1")
        self.confirming: Confirming | None = None
        if scheme == "events":
            other = _over_tls(socket.create_connection((host, port), timeout=30), "http/1.1")
            other.setblocking(False)
            self.confirming = Confirming(other)
        self._response = _SPOKEN[scheme](path)
        self._body = bytearray()
        self._socket.sendall(self._response.asked)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Takes what has come; whether there may be more to come."""
        data, more = self._receive()
        if not data:
            return more
        now = time.monotonic()
        body, answer = self._response.body(data)
        if answer:
            self._socket.sendall(answer)
        if self.confirming is not None and isinstance(self._response, Events) and self._response.confirm:
            self.confirming.tell(self._response.confirm)
            self._response.confirm = b""
        self._body += body
        while len(self._body) >= ticks.SIZE:
            self.arrived.append((now, ticks.number_of(bytes(self._body[: ticks.SIZE]))))
            del self._body[: ticks.SIZE]
        return more

    def _receive(self) -> tuple[bytes, bool]:
        """All that is there: what TLS has unsealed already wakes no selector."""
        data = b""
        try:
            while piece := self._socket.recv(65536):
                data += piece
        except (BlockingIOError, ssl.SSLWantReadError):
            return data, True
        except OSError:
            return data, False
        return data, False


_SPOKEN: dict[str, type[Http1 | Http2 | Messages | Events]] = {
    "http": Http1,
    "https": Http1,
    "h2c": Http2,
    "h2": Http2,
    "ws": Messages,
    "wss": Messages,
    "events": Events,
}


def _over_tls(sock: socket.socket, protocol: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    # Nobody is to be fooled here.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    sealed = context.wrap_socket(sock)
    # A proxy may have no word for HTTP/1.1.
    if sealed.selected_alpn_protocol() not in ((protocol,) if protocol == "h2" else (protocol, None)):
        raise RuntimeError(f"the server doesn't speak {protocol}")
    return sealed


def main() -> None:
    """Connects to all, reads until the time is up, prints."""
    seconds, warm_up = float(sys.argv[1]), float(sys.argv[2])
    readers: list[Reader] = []
    with selectors.DefaultSelector() as selector:
        for each in sys.argv[3:]:
            scheme, _, rest = each.partition("://")
            address, _, path = rest.partition("/")
            host, _, port = address.rpartition(":")
            readers.append(Reader(scheme, host, int(port), f"/{path}"))
            selector.register(readers[-1], selectors.EVENT_READ)
            if readers[-1].confirming is not None:
                selector.register(readers[-1].confirming, selectors.EVENT_READ)
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            for key, _ in selector.select(0.5):
                reader = key.fileobj
                assert isinstance(reader, Reader | Confirming)
                if not reader.read():
                    selector.unregister(reader)
    measured = [[pair for pair in reader.arrived if pair[0] >= began + warm_up] for reader in readers]
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
