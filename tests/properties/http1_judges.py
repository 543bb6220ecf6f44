"""Three parsers of HTTP/1.1 requests, asked alike: ours, h11's and httptools' (llhttp)."""

import re
from dataclasses import dataclass, field
from typing import Literal

import h11
import httptools

from httpng_core.http1 import MORE, RefusedRequest, RequestParser

LIMIT = 1 << 20
End = Literal["waits", "refused", "stopped"]


@dataclass(frozen=True)
class Seen:
    """One whole request, with its target as it came."""

    method: bytes
    target: bytes
    minor: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass
class Verdict:
    """The requests in some bytes, and how it ended.

    It stops behind a request that ends its connection or switches protocols: the judges differ in what they
    make of what follows, and nobody serves it.
    """

    requests: list[Seen] = field(default_factory=list)
    end: End = "waits"
    reason: str = ""


_PATH = re.compile(rb"(?i:https?)://[^/?]*")


def in_origin_form(target: bytes) -> bytes:
    """Return what our parser makes of an absolute target."""
    path = _PATH.sub(b"", target, count=1) if not target.startswith(b"/") else target
    return path if path.startswith((b"/", b"*")) else b"/" + path


def ours(data: bytes) -> Verdict:
    verdict = Verdict()
    parser = RequestParser(LIMIT, LIMIT, LIMIT)
    parser.feed(data)
    try:
        while (head := parser.next_request()) is not None:
            if head is MORE:
                continue
            seen = Seen(
                head.method.encode(), head.target.encode(), head.minor, head.block.fields(), head.body
            )
            verdict.requests.append(seen)
            if not head.keep_alive or head.block.upgrade:
                verdict.end = "stopped"
                break
    except RefusedRequest as error:
        verdict.end, verdict.reason = "refused", error.reason
    return verdict


def by_h11(data: bytes) -> Verdict:
    """Ask h11, with a connection for each request: it refuses to go on without a response."""
    verdict = Verdict()
    while True:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
        # It refuses empty lines before a request line; whoever uses it takes them away.
        while data.startswith(b"\r\n"):
            data = data[2:]
        if not data:
            return verdict
        connection.receive_data(data)
        try:
            seen = _next_of_h11(connection)
        except h11.RemoteProtocolError as error:
            verdict.end, verdict.reason = "refused", str(error)
            return verdict
        if seen is None:
            return verdict
        verdict.requests.append(seen)
        if connection.their_state is h11.MUST_CLOSE or seen.method == b"CONNECT" or _switches(seen):
            verdict.end = "stopped"
            return verdict
        data = connection.trailing_data[0]


def _next_of_h11(connection: h11.Connection) -> Seen | None:
    head, body = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            minor = int(head.http_version[2:])
            return Seen(head.method, head.target, minor, tuple(head.headers), body)
        else:
            return None


def _switches(seen: Seen) -> bool:
    return any(name == b"upgrade" for name, _ in seen.fields)


_DELIMITED = {b"content-length", b"transfer-encoding"}


class _Calls:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.requests: list[Seen] = []
        self.stopped = False
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.in_head = True

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are told as headers.
        if self.in_head:
            self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.stopped:
            return
        minor = int(self.parser.get_http_version()[2:])
        method = self.parser.get_method()
        self.requests.append(Seen(method, self.target, minor, tuple(self.fields), self.body))
        self.stopped = not self.parser.should_keep_alive()


def by_httptools(data: bytes) -> Verdict:
    calls = _Calls()
    verdict = Verdict(calls.requests)
    try:
        calls.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        verdict.end = "stopped"
        if _DELIMITED & {name for name, _ in verdict.requests[-1].fields}:
            # For llhttp its body belongs to the protocol that it asks for.
            verdict.requests.pop()
    except httptools.HttpParserError as error:
        verdict.end, verdict.reason = "refused", str(error)
    if calls.stopped:
        verdict.end = "stopped"
    return verdict
