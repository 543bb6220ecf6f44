"""A request as handlers see it. Pure data: parsing wire bytes is the protocols' affair."""

from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from json import loads
from types import MappingProxyType
from typing import Any

from httpng_core.errors import BodyMalformedError, BodyStreamedError
from httpng_core.http.address import UNKNOWN_ADDRESS, Address, plain_ends
from httpng_core.http.fields import QueryParams, parse_cookies
from httpng_core.http.reading import BodySource, BodyStream, GivenRead


class Headers(Mapping[str, str]):
    """Request headers by lower-case name; looking a name up ignores case.

    A name that came several times gives its values joined, with `, ` (RFC 9110, 5.3), cookies with
    `; ` (RFC 6265, 5.4). `get_all` gives them as they came.
    """

    __slots__ = ("_last", "_pairs", "_repeated")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Take names (lower-case) and values as wire bytes, in order."""
        self._pairs = tuple(pairs)
        # The last value of each name; and all of those that came several times, if any did.
        self._last: dict[bytes, bytes] | None = None
        self._repeated: dict[bytes, list[bytes]] | None = None

    @property
    def raw(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names and values as they came, in order."""
        return self._pairs

    def get_all(self, name: str) -> list[str]:
        """Return all values of `name`, in order; an empty list if it wasn't sent."""
        return [value.decode("latin-1") for value in self._values(_wire_name(name))]

    def __getitem__(self, name: str) -> str:
        key = _wire_name(name)
        values = self._values(key)
        if not values:
            raise KeyError(name.lower())
        return (b"; " if key == b"cookie" else b", ").join(values).decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("latin-1") for name in self._by_name()])

    def __len__(self) -> int:
        return len(self._by_name())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _wire_name(name) in self._by_name()

    def __repr__(self) -> str:
        return f"Headers({list(self.raw)!r})"

    def _values(self, key: bytes) -> Sequence[bytes]:
        last = self._by_name().get(key)
        if last is None:
            return ()
        return (last,) if self._repeated is None else self._repeated.get(key, (last,))

    def _by_name(self) -> dict[bytes, bytes]:
        # Made when first asked for, as many handlers never look; and decoded one by one, as most look at few.
        last = self._last
        if last is None:
            last = dict(self._pairs)
            if len(last) < len(self._pairs):
                found: dict[bytes, list[bytes]] = {}
                for name, value in self._pairs:
                    found.setdefault(name, []).append(value)
                self._repeated = {name: values for name, values in found.items() if len(values) > 1}
            # Last, as another thread may be looking.
            self._last = last
        return last


def _wire_name(name: str) -> bytes:
    """Return a name as it is in a request; one that can be in none becomes empty, which none is."""
    try:
        return name.lower().encode("latin-1")
    except UnicodeEncodeError:
        return b""


NO_STASH: Mapping[str, str] = MappingProxyType({})


PlainValues = tuple[bytes | int | None, ...]
"""See `Request.plain_values`."""


class HeaderFields:
    """Header fields as they were read: split by then, or, in what derives from this, when they are asked for.

    Attributes:
        upgrade: the protocols of HTTP/1.1 that the client offers to switch to, in lower case (RFC 9110, 7.8).
    """

    __slots__ = ("_pairs", "upgrade")

    def __init__(
        self, pairs: tuple[tuple[bytes, bytes], ...] | None, upgrade: tuple[bytes, ...] = ()
    ) -> None:
        """Take names, in lower case, and values, without the whitespace around them, in order."""
        self._pairs = pairs
        self.upgrade = upgrade

    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return names, in lower case, and values, without the whitespace around them, in order."""
        return self._pairs or ()

    def lines(self) -> bytes | None:
        """Return the fields as lines of HTTP/1.1, each with its CRLF; `None`: they may not be such."""
        return None


class Request:
    """One request, to be looked at only. Its body has been read before the handler runs, or comes meanwhile.

    Attributes:
        method: as sent, case kept.
        path: the raw request target in origin form, query included; `*` for `OPTIONS *`.
        query: what follows the first `?`; `None` if there is none.
        host: the authority without its port; "default" if the request names none. An authority with a user
            name before `@`, in whichever place, is refused with 400 (RFC 9110, 4.2.4).
        version_major: of the HTTP version, as `version_minor`.
        https: whether it came over TLS.
        peer: the client's end of the connection.
        ouraddr: our end of the connection.
        protocol: what an extended CONNECT of HTTP/2 asks for (RFC 8441), as "websocket"; else empty.
        route: the path of the route or site that took it, as it was configured; empty without one.
        state: what the application's `lifespan` gave; `None` without one.
        stash: what the placeholders of its route took, percent-decoded, by name; empty without a router.
        source: what reads a body that comes in while the handler runs; whoever starts the handler sets it.
    """

    __slots__ = (
        "_block",
        "_body",
        "_headers",
        "_taken",
        "_trailers",
        "host",
        "https",
        "method",
        "ouraddr",
        "path",
        "peer",
        "protocol",
        "route",
        "source",
        "stash",
        "state",
        "version_major",
        "version_minor",
    )

    def __init__(
        self,
        method: str,
        path: str,
        host: str = "default",
        block: HeaderFields | None = None,
        body: bytes | None = b"",
        version_minor: int = 1,
        https: bool = False,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        *,
        headers: Headers | None = None,
        version_major: int = 1,
        stash: Mapping[str, str] = NO_STASH,
        protocol: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.host = host
        self._headers = headers
        self._block = block
        # `None`: it comes in while the handler runs.
        self._body = body
        self._taken = 0
        self._trailers: tuple[tuple[bytes, bytes], ...] = ()
        self.source: BodySource | None = None
        self.version_major = version_major
        self.version_minor = version_minor
        self.https = https
        self.peer = peer
        self.ouraddr = ouraddr
        self.route = ""
        self.stash = stash
        self.state: Any = None
        self.protocol = protocol

    @property
    def headers(self) -> Headers:
        """The request headers; split when they are first asked for."""
        if self._headers is None:
            self._headers = Headers() if self._block is None else Headers(self._block.fields())
        return self._headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names, in lower case, and values as they came, in order: those of `headers`."""
        if self._headers is None and self._block is not None:
            return self._block.fields()
        return self.headers.raw

    @property
    def body(self) -> bytes:
        """The whole request body, `b""` if none.

        Raises:
            BodyStreamedError: it comes in while the handler runs.
        """
        if self._body is None:
            raise BodyStreamedError(
                "the handler runs while the body comes in (stream_body): "
                "read it with `await req.read()` or `async for piece in req.stream()`"
            )
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body

    @property
    def whole_body(self) -> bytes | None:
        """The body; `None` if it comes in while the handler runs."""
        return self._body

    @property
    def is_streamed(self) -> bool:
        """Whether the body comes in while the handler runs."""
        return self._body is None

    @property
    def trailers(self) -> Headers:
        """The fields that the client sent behind the body (RFC 9110, 6.5), once that has come; empty before.

        Those that can't be trailers, as Content-Length, are left out.
        """
        return Headers(self._trailers)

    def give_trailers(self, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        """Note what came behind the body."""
        self._trailers = fields

    def plain_values(self) -> PlainValues:
        """Return what handlers in other languages get: text as bytes, header fields not split.

        These are the ends of the connection, for `split_ends` of `httpng_core.languages`; the header fields
        as lines of HTTP/1.1, each with its CRLF, for `split_field_lines`; the method, the path, the query or
        `None`, the host; the body, `None` if it comes in while the handler runs; and, if it isn't HTTP/1.1 in
        clear text, whether it came over TLS, or `None`, and the version. The first two are `None` where there
        is more to ask for: trailers, another protocol that the client wants, as WebSocket.
        """
        block, path = self._block, self.path
        lines = ends = None
        if block is not None and not self._trailers and not self.protocol and not block.upgrade:
            lines = block.lines()
            if lines is not None:
                ends = plain_ends(self.peer, self.ouraddr)
        query = path.partition("?")[2].encode() if "?" in path else None
        method, target, host = self.method.encode(), path.encode(), self.host.encode()
        if self.version_minor == 1 and self.version_major == 1 and not self.https:
            return ends, lines, method, target, query, host, self._body
        version = self.version_major, self.version_minor
        return ends, lines, method, target, query, host, self._body, self.https or None, *version

    def read(self, limit: int | None = None, timeout: float | None = None) -> Awaitable[bytes]:
        """Read the next piece of the body, `b""` at its end: `await req.read()`; in a generator, `yield` it.

        It waits until at least one byte has come. A body that was whole before the handler ran comes as one
        piece. A task that is cancelled meanwhile has lost nothing: the next read goes on.

        Args:
            limit: the most bytes to return; `None`: 64 KiB, of a whole body all.
            timeout: seconds to wait; `None`: as long as `body_timeout` and `min_body_rate` let it, which
                count only while the handler waits.

        Raises:
            RequestCancelled: the client left before its request was whole, or the exchange is over.
            ReadTimeoutError: nothing came within `timeout`. The next read goes on.
            BodyTimeoutError: the client was slower than `body_timeout` or `min_body_rate` allow.
            BodyTooLongError: the body is longer than `max_stream_len`.
            BodyMalformedError: it breaks the protocol.
            TypeError, ValueError: wrong arguments.
            RuntimeError: another read waits.
        """
        source = self.source
        return GivenRead(self.take_body(limit)) if source is None else source(limit, timeout)

    def stream(self) -> BodyStream:
        """Return the pieces of the body for `async for`; see `read`."""
        return BodyStream(self.read)

    def take_body(self, limit: int | None = None) -> bytes:
        """Return what was not taken yet of a body that is whole, at most `limit` bytes; `b""` at its end."""
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}, must be at least 1")
        body, at = self.body, self._taken
        piece = body if limit is None and not at else body[at:] if limit is None else body[at : at + limit]
        self._taken += len(piece)
        return piece

    def with_stash(self, stash: Mapping[str, str]) -> "Request":
        """Return the same request, with what a route's placeholders took."""
        request = self._copied(stash)
        request.source = self.source
        request.give_trailers(self._trailers)
        request.route = self.route
        return request

    def _copied(self, stash: Mapping[str, str]) -> "Request":
        request = Request(
            method=self.method,
            path=self.path,
            host=self.host,
            headers=self.headers,
            body=self._body,
            version_major=self.version_major,
            version_minor=self.version_minor,
            https=self.https,
            peer=self.peer,
            ouraddr=self.ouraddr,
            stash=stash,
            protocol=self.protocol,
        )
        request.state = self.state
        return request

    @property
    def query(self) -> str | None:
        """What follows the first `?` of the path; empty for a bare `?`, `None` without one."""
        _, mark, query = self.path.partition("?")
        return query if mark else None

    @property
    def query_params(self) -> QueryParams:
        """The parameters of the query, by name. Read anew each time."""
        return QueryParams(self.query or "")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the client sent, by name. Read anew each time."""
        return parse_cookies(self.headers.get("cookie", ""))

    def json(self) -> Any:
        """Return what the whole body says as JSON (RFC 8259). Read anew each time.

        Raises:
            BodyMalformedError: it isn't JSON in UTF-8. A handler that lets this pass answers with 400.
            BodyStreamedError: it comes in while the handler runs.
        """
        try:
            return loads(self.body)
        except (ValueError, RecursionError) as error:
            raise BodyMalformedError(f"the request body is not JSON: {error}") from None

    @property
    def is_websocket(self) -> bool:
        """Whether the client asks for a WebSocket (RFC 6455, 4.1; on HTTP/2 RFC 8441)."""
        if self.version_major > 1:
            return self.protocol == "websocket"
        if self._block is not None:
            return self._block.upgrade == (b"websocket",)
        if "upgrade" not in self.headers or self.headers["upgrade"].lower() != "websocket":
            return False
        tokens = {token.strip().lower() for token in self.headers.get("connection", "").split(",")}
        return "upgrade" in tokens
