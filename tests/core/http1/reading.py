"""Reads requests with the parser, in whatever pieces they come."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from httpng_core.http1 import MORE, ParsedHead, ReferenceParser, RefusedRequest, RequestParser

HEAD_LIMIT, BODY_LIMIT, FIELD_LIMIT = 65536, 1 << 20, 256


def parser(
    max_head: int = HEAD_LIMIT, max_body: int = BODY_LIMIT, max_fields: int = FIELD_LIMIT
) -> RequestParser:
    return RequestParser(max_head, max_body, max_fields)


def reference() -> ReferenceParser:
    return ReferenceParser(HEAD_LIMIT, BODY_LIMIT, FIELD_LIMIT)


def head(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


GET = head(b"Host: x")
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTS = [
    (b"x", "x"),
    (b"x:80", "x"),
    (b"x:", "x"),
    (b"[::1]", "[::1]"),
    (b"[::1]:80", "[::1]"),
    (b"127.0.0.1:80", "127.0.0.1"),
    (b"", "default"),
    (b"a_b-c.d~e", "a_b-c.d~e"),
]
"""Values of Host, and what a handler gets as the host."""
MALFORMED_HOSTS = [
    *(b"a,b", b"a b", b"u@a", b"a/b", b"a?b", b"a:b", b"a:80:80"),
    *(b"[::1", b"::1", b"[x]", b"\xe9", b"a" * 999),
]


@dataclass
class Outcome:
    """What came of some bytes: the requests in them, the refusal that ended it, what is left unread."""

    requests: list[ParsedHead] = field(default_factory=list)
    refused: RefusedRequest | None = None
    rest: bytes = b""
    steps: int = 0

    @property
    def status(self) -> int | None:
        return None if self.refused is None else self.refused.status

    @property
    def values(self) -> list[tuple[object, ...]]:
        """All that the requests say."""
        return [
            (r.method, r.target, r.host, r.body, r.minor, r.keep_alive, r.block.fields())
            for r in self.requests
        ]


def read(pieces: Iterable[bytes], of: RequestParser | ReferenceParser | None = None) -> Outcome:
    """Feed `pieces` to a parser, and ask it after each one until it wants more."""
    reader = parser() if of is None else of
    outcome = Outcome()
    try:
        for piece in pieces:
            reader.feed(piece)
            while (request := reader.next_request()) is not None:
                outcome.steps += 1
                if request is not MORE:
                    outcome.requests.append(request)
    except RefusedRequest as error:
        outcome.refused = error
    outcome.rest = reader.take_rest()
    return outcome


def cut(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


def served(data: bytes, *limits: int) -> ParsedHead:
    """Return the one request in `data`, which is the same in whatever pieces it comes."""
    whole, *others = (read(cut(data, step), parser(*limits)) for step in (len(data), 1, 7))
    assert whole.refused is None
    assert len(whole.requests) == 1
    for other in others:
        assert other.values == whole.values
        assert other.rest == whole.rest
    return whole.requests[0]


def refused(data: bytes, *limits: int) -> RefusedRequest:
    """Return the refusal of `data`, of which nothing is served; its status doesn't depend on the pieces."""
    outcomes = [read(cut(data, step), parser(*limits)) for step in (len(data), 1, 7)]
    for outcome in outcomes:
        assert outcome.requests == []
        assert outcome.status == outcomes[0].status
    refusal = outcomes[0].refused
    assert refusal is not None
    return refusal
