"""HTTP/1.1 (RFC 9112): requests parsed by h11, responses framed here, late.

h11 isn't used for sending: it would take body bytes into a buffer of its own and couldn't say later
whose they were. Each request gets a parser of its own, which leaves nothing over from the last one.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from http import HTTPStatus

import h11

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.http.chunks import CHUNK_END, chunk_head
from httpng_core.http.request import Address, Headers, Request
from httpng_core.http.target import check_host, host_and_path
from httpng_core.sending.exchange import Exchange
from httpng_core.wire.frame import Frame

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Reading(Enum):
    """How far the next request has come in."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class RequestParser:
    """Bytes in, one whole request out; then `restart` for the next."""

    def __init__(self, settings: Settings, peer: Address, ouraddr: Address, *, https: bool = False) -> None:
        self._settings = settings
        self._https = https
        self._peer = peer
        self._ouraddr = ouraddr
        self._restart(b"")

    def _restart(self, rest: bytes) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=self._settings.shuttle_size)
        self._head: h11.Request | None = None
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._host = ""
        self._body: list[bytes] = []
        self._body_size = 0
        self._fed = 0
        self.keep_alive = False
        self.expects_continue = False
        self.feed(rest)

    def reconfigure(self, settings: Settings) -> None:
        """Other limits from now on."""
        self._settings = settings

    @property
    def reading(self) -> Reading:
        """What a timeout would interrupt."""
        if self._head is not None:
            return Reading.BODY
        return Reading.HEAD if self._fed else Reading.NOTHING

    def feed(self, data: bytes) -> None:
        """Take received bytes; none are no news (h11 would take them for the end of the stream)."""
        if not self._fed:
            # Empty lines before a request line are to be ignored (RFC 9112, 2.2); h11 refuses them.
            data = data.lstrip(b"\r\n")
        if data:
            self._fed += len(data)
            self._h11.receive_data(data)

    def rest(self) -> bytes:
        """Return what came behind the request."""
        return self._h11.trailing_data[0]

    def restart(self) -> None:
        """Note that the response is over: goes on with the bytes after the request."""
        self._restart(self.rest())

    def next_request(self) -> Request | None:
        """Return the request, once it is whole; call `restart` before asking for another.

        Raises:
            RemoteError: what came breaks RFC 9112 or a limit; the connection can't go on.
        """
        try:
            return self._next_request()
        except h11.RemoteProtocolError as error:
            raise RemoteError(str(error), error.error_status_hint) from error

    def _next_request(self) -> Request | None:
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                if not self._take_head(event):
                    # The end is clear without asking for it, which is a good part of what h11 costs.
                    return self._request()
            elif isinstance(event, h11.Data):
                self._take_body(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return self._request()
            else:
                return None

    def _take_head(self, head: h11.Request) -> bool:
        """Return whether there is a body to come (RFC 9112, 6.3)."""
        self._head = head
        limit = self._settings.shuttle_size
        if self._fed > limit and self._fed - len(self._h11.trailing_data[0]) > limit:
            raise RemoteError(f"request head is longer than {limit} bytes", 431)
        if not head.http_version.startswith(b"1."):
            raise RemoteError("only HTTP/1 is spoken here", 505)
        self._headers = tuple(head.headers)
        hosts, tokens, length, coded = _framing_of(self._headers)
        self._host = check_host(head.http_version, hosts)
        if coded and (length is not None or head.http_version < b"1.1"):
            # RFC 9112, 6.1: the two together, or one in HTTP/1.0, is how requests are smuggled.
            raise RemoteError("Transfer-Encoding with Content-Length, or in HTTP/1.0", 400)
        # RFC 9112, 9.3.
        self.keep_alive = b"close" not in tokens and (head.http_version >= b"1.1" or b"keep-alive" in tokens)
        if length is not None:
            # Refused before a byte of the body is read, and before a 100 asks for it.
            self._limit_body(length)
        if not length and not coded:
            return False
        self.expects_continue = self._h11.they_are_waiting_for_100_continue
        return True

    def _limit_body(self, size: int) -> None:
        limit = self._settings.max_body_len
        if size > limit:
            raise RemoteError(f"request body is longer than {limit} bytes", 413)

    def _take_body(self, data: bytes | bytearray) -> None:
        self._body_size += len(data)
        self._limit_body(self._body_size)
        self._body.append(bytes(data))

    def _request(self) -> Request:
        head = self._head
        assert head is not None
        host, path = host_and_path(head.method, head.target, self._host)
        minor = head.http_version.partition(b".")[2]
        return Request(
            method=head.method.decode(),
            path=path,
            host=host,
            headers=Headers(self._headers),
            body=b"".join(self._body),
            version_minor=int(minor),
            https=self._https,
            peer=self._peer,
            ouraddr=self._ouraddr,
        )


def _framing_of(
    headers: tuple[tuple[bytes, bytes], ...],
) -> tuple[list[bytes], set[bytes], int | None, bool]:
    """In one pass: the hosts, the options of Connection, the Content-Length, and if there is a coding."""
    hosts: list[bytes] = []
    tokens: set[bytes] = set()
    length, coded = None, False
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"connection":
            tokens.update(token.strip() for token in value.lower().split(b","))
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            coded = True
    return hosts, tokens, length, coded


class ResponseFramer:
    """Frames one response: chunked, by Content-Length, or for HTTP/1.0 until the connection closes."""

    __slots__ = ("_chunked", "_date", "_exchange", "_head", "keep_alive")

    def __init__(self, exchange: Exchange, keep_alive: bool, date: Callable[[], bytes | None]) -> None:
        self._exchange = exchange
        self._date = date
        self._head: bytes | None = None
        self._chunked = False
        self.keep_alive = keep_alive
        """Whether the connection can go on after this response; final once the head was framed."""

    @property
    def is_chunked(self) -> bool:
        """Whether body bytes are framed as chunks; final once the head was framed."""
        return self._chunked

    @property
    def ends_silently(self) -> bool:
        """Whether only the end is left to frame, and that has no bytes of its own."""
        exchange = self._exchange
        return exchange.end_due and not exchange.head_due and not self._chunked

    def frame(self, limit: int, now: float) -> Frame | None:
        """Return the next frame, with at most `limit` body bytes; `None` if there is nothing to frame."""
        exchange = self._exchange
        if not exchange.has_frame:
            return None
        head = self._head_bytes() if exchange.head_due else b""
        if exchange.request.https:
            # The whole is to be one record.
            limit = max(limit - len(head), 1)
        body = exchange.peek(limit, now)
        ends = exchange.ends_after(len(body))
        prefix = suffix = b""
        if self._chunked and body:
            prefix, suffix = chunk_head(len(body)), CHUNK_END
        if self._chunked and ends:
            suffix += _LAST_CHUNK
        if head and exchange.substitute and exchange.request.method != "HEAD":
            # A body of ours: it pays for nothing.
            suffix = exchange.substitute
        return Frame(exchange, head, prefix, body, suffix, ends)

    def _head_bytes(self) -> bytes:
        if self._head is None or self._exchange.substitute:
            self._head = self._make_head()
        return self._head

    def _make_head(self) -> bytes:
        exchange = self._exchange
        head = exchange.head
        assert head is not None
        lines = [_status_line(head.status)]
        lines += [b"%s: %s\r\n" % header for header in head.headers]
        date = None if head.has(b"date") else self._date()
        if date is not None:
            lines.append(b"date: %s\r\n" % date)
        lines.append(self._framing_header())
        self.keep_alive = self.keep_alive and not head.close
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif exchange.request.version_minor == 0:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _framing_header(self) -> bytes:
        """Decide how the body will be delimited (RFC 9112, 6.3)."""
        head, self._chunked = self._exchange.head, False
        assert head is not None
        length = len(self._exchange.substitute) or head.content_length
        if length is not None and head.status != 204:
            return b"content-length: %d\r\n" % length
        if head.bodiless:
            return b""
        if self._exchange.request.version_minor == 0:
            self.keep_alive = False
            return b""
        self._chunked = not self._exchange.drops_body
        return b"transfer-encoding: chunked\r\n"


def refusal(status: int, reason: str, date: bytes | None) -> bytes:
    """Return a whole response to a request that can't be served; the connection closes after it."""
    body = reason.encode()
    lines = [_status_line(status)]
    if date is not None:
        lines.append(b"date: %s\r\n" % date)
    lines.append(b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body))
    lines.append(b"connection: close\r\n\r\n")
    return b"".join([*lines, body])


@cache
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
