"""A request as handlers see it. Pure data: parsing wire bytes is the protocols' affair."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol


class Headers(Mapping[str, str]):
    """Request headers by lower-case name; looking a name up ignores case.

    A name that came several times gives its values joined, with `, ` (RFC 9110, 5.3), cookies with
    `; ` (RFC 6265, 5.4). `get_all` gives them as they came.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Take names (lower-case) and values as wire bytes, in order."""
        self._pairs = tuple(pairs)
        self._values: dict[str, list[str]] | None = None

    @property
    def raw(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names and values as they came, in order."""
        return self._pairs

    def get_all(self, name: str) -> list[str]:
        """Return all values of `name`, in order; an empty list if it wasn't sent."""
        return list(self._by_name().get(name.lower(), ()))

    def __getitem__(self, name: str) -> str:
        values = self._by_name()[name.lower()]
        if len(values) == 1:
            return values[0]
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name()

    def __repr__(self) -> str:
        return f"Headers({list(self.raw)!r})"

    def _by_name(self) -> dict[str, list[str]]:
        # Built when first asked for: many handlers never look.
        if self._values is None:
            self._values = {}
            for name, value in self.raw:
                self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return self._values


@dataclass(frozen=True, slots=True)
class Address:
    """One end of a connection.

    Attributes:
        host: an address of IPv4 or IPv6; of a Unix socket the path, empty for a client without one.
        port: 0 for a Unix socket.
        family: what `host` is.
        type: that bytes come in order.
        protocol: "unix" for a Unix socket.
    """

    host: str
    port: int
    family: Literal["AF_INET", "AF_INET6", "AF_UNIX"] = "AF_INET"
    type: Literal["SOCK_STREAM"] = "SOCK_STREAM"
    protocol: Literal["tcp", "unix"] = "tcp"


UNKNOWN_ADDRESS = Address("", 0)
NO_STASH: Mapping[str, str] = MappingProxyType({})


class HeaderFields(Protocol):
    """Header fields that are split when they are asked for."""

    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return names (lower-case) and values, in order."""


class Request:
    """One whole request: the body has been read before the handler runs. To be looked at only.

    Attributes:
        method: as sent, case kept.
        path: the raw request target in origin form, query included; `*` for `OPTIONS *`.
        query: what follows the first `?`; `None` if there is none.
        host: the authority without its port; "default" if the request names none. An authority with a user
            name before `@`, in whichever place, is refused with 400 (RFC 9110, 4.2.4).
        body: the request body, `b""` if none.
        version_major: of the HTTP version, as `version_minor`.
        https: whether it came over TLS.
        peer: the client's end of the connection.
        ouraddr: our end of the connection.
        stash: what the placeholders of its route took, percent-decoded, by name; empty without a router.
    """

    __slots__ = (
        "_block",
        "_headers",
        "body",
        "host",
        "https",
        "method",
        "ouraddr",
        "path",
        "peer",
        "stash",
        "version_major",
        "version_minor",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        host: str = "default",
        headers: Headers | None = None,
        block: HeaderFields | None = None,
        body: bytes = b"",
        version_major: int = 1,
        version_minor: int = 1,
        https: bool = False,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        stash: Mapping[str, str] = NO_STASH,
    ) -> None:
        self.method = method
        self.path = path
        self.host = host
        self._headers = headers
        self._block = block
        self.body = body
        self.version_major = version_major
        self.version_minor = version_minor
        self.https = https
        self.peer = peer
        self.ouraddr = ouraddr
        self.stash = stash

    @property
    def headers(self) -> Headers:
        """The request headers; split when they are first asked for."""
        if self._headers is None:
            self._headers = Headers() if self._block is None else Headers(self._block.fields())
        return self._headers

    def with_stash(self, stash: Mapping[str, str]) -> "Request":
        """Return the same request, with what a route's placeholders took."""
        return Request(
            method=self.method,
            path=self.path,
            host=self.host,
            headers=self.headers,
            body=self.body,
            version_major=self.version_major,
            version_minor=self.version_minor,
            https=self.https,
            peer=self.peer,
            ouraddr=self.ouraddr,
            stash=stash,
        )

    def without_body(self) -> "Request":
        """Return the same request with an empty body, for who has that elsewhere."""
        request = self.with_stash(self.stash)
        request.body = b""
        return request

    @property
    def query(self) -> str | None:
        """What follows the first `?` of the path; empty for a bare `?`, `None` without one."""
        _, mark, query = self.path.partition("?")
        return query if mark else None

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket on this connection (RFC 6455, 4.1)."""
        if "upgrade" not in self.headers or self.headers["upgrade"].lower() != "websocket":
            return False
        tokens = {token.strip().lower() for token in self.headers.get("connection", "").split(",")}
        return "upgrade" in tokens
