"""What a request head says to a server: worked out once for all requests that are alike."""

from typing import Final

from httpng_core.errors import RemoteError
from httpng_core.http.priority import FAIR, Priority, parse_priority
from httpng_core.http.request import HeaderFields
from httpng_core.http.target import check_host, host_and_path
from httpng_core.http2.engine.requests import RequestHead

_MOST_KEPT: Final = 64


class Facts(HeaderFields):
    """What a request head says, as `Request` has it.

    Attributes:
        method, path, host, protocol: as of `Request`.
        length: the declared Content-Length; negative without one.
        expects_continue: whether the client waits for a 100.
        priority: what the client wants.
    """

    __slots__ = ("expects_continue", "host", "length", "method", "path", "priority", "protocol")

    host: str
    path: str
    method: str
    protocol: str
    length: int
    expects_continue: bool
    priority: Priority

    def __init__(self, head: RequestHead, like: "Facts | None" = None) -> None:
        """Read a head that is sound; or one that is `like` another but for its path.

        Raises:
            RemoteError: The request can't be served.
        """
        self.upgrade = ()  # HTTP/2 has no such field (RFC 9113, 8.2.2).
        if like is not None:
            self.host, self.path, self.method = like.host, head.path.decode("ascii"), like.method
            self.protocol, self.length, self._pairs = like.protocol, like.length, like._pairs
            self.expects_continue, self.priority = like.expects_continue, like.priority
            return
        if head.method == b"CONNECT" and head.protocol != b"websocket":
            raise RemoteError("CONNECT is not supported, but for WebSockets (RFC 8441)", 501)
        host = check_host(b"2", [head.authority])
        self.host, self.path = host_and_path(head.method, head.path, host)
        self.method = head.method.decode("ascii")
        self.protocol = head.protocol.decode("ascii")
        self.length = head.length
        self.expects_continue = False
        self.priority = FAIR
        self._pairs = head.fields
        for name, value in head.fields:
            if name == b"expect":
                self.expects_continue = value.lower() == b"100-continue"
            elif name == b"priority":
                self.priority = parse_priority(value)

    def lines(self) -> bytes:
        """Return the headers as lines of HTTP/1.1, each with its CRLF."""
        return b"".join([b"%b: %b\r\n" % field for field in self._pairs or ()])


class FactsMemo:
    """The facts of the last heads: the engine returns the same head for requests that are alike.

    Attributes:
        kept: those that are known.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[RequestHead, Facts] = {}

    def facts(self, head: RequestHead) -> Facts:
        """Return what a head says.

        Raises:
            RemoteError: The request can't be served.
        """
        facts = self.kept.get(head)
        if facts is None:
            if head.like is not None:
                # The other one is kept, of which there may be many.
                return Facts(head, self.facts(head.like))
            facts = Facts(head)
            if len(self.kept) >= _MOST_KEPT:
                self.kept.clear()
            self.kept[head] = facts
        return facts
