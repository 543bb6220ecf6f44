"""What a parser knows of header blocks before never shows: each request is read as by a new connection."""

from random import Random

import pytest
from tests.core.http1.reading import parser
from tests.properties.http1_requests import FIELDS, HOSTS, ODD_FIELDS, ODD_HOSTS

from httpng_core.http1 import HeaderBlock, ParsedHead, Reading, RefusedRequest, RequestParser

COMMON = [b"User-Agent: x/1 (y; z)", b"Accept: */*", b"Accept-Language: de,en;q=0.7", b"Cookie: a=b; c=d"]
NAMES = [b"X-Request-Id", b"x-request-id", b"Accept", b"A", b"Hosts", b"X-Content-Length"]
FRAMED = [b"Content-Length: 0", b"content-length:0", b"Content-Length: 1", b"Connection: keep-alive"]
REQUEST_LINES = [b"GET / HTTP/1.1"] * 9 + [b"GET /a HTTP/1.0"]
LIMITS = [(65536, 1 << 20, 256), (65536, 1 << 20, 4), (120, 1 << 20, 256)]
CONNECTIONS, MOST_REQUESTS = 3_000, 8


class Blocks:
    """Header blocks by chance, each a little different from the one before."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        lines = [b"Host: h", *self._chance.sample(COMMON, self._chance.randrange(4))]
        self._lines = [*lines, self._line()]

    def next(self) -> bytes:
        """Return a head; mostly one line is another than in the last, and now and then more is."""
        for _ in range(self._chance.choice([0, 1, 1, 1, 2, 3])):
            self._edit()
        head = b"\r\n".join([self._chance.choice(REQUEST_LINES), *self._lines, b"", b""])
        return self._broken(head) if self._chance.random() < 0.05 else head

    def _line(self) -> bytes:
        chance = self._chance
        kind = chance.randrange(20)
        if kind == 0:
            return chance.choice(ODD_FIELDS)
        if kind == 1:
            return chance.choice(FRAMED)
        if kind == 2:
            return b"Host: " + chance.choice(HOSTS + ODD_HOSTS)
        if kind < 6:
            return chance.choice(FIELDS)
        return chance.choice(NAMES) + b": " + b"x" * chance.randrange(3) + b"%d" % chance.randrange(10)

    def _edit(self) -> None:
        chance, lines = self._chance, self._lines
        at = chance.randrange(len(lines) + 1)
        kind = chance.randrange(10)
        if kind == 0 or at == len(lines):
            lines.insert(at, self._line())
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines.insert(chance.randrange(len(lines)), lines[at])
        elif kind == 3:
            lines.insert(chance.randrange(len(lines)), lines.pop(at))
        elif not lines[at].lower().startswith(b"host") or kind == 4:
            lines[at] = self._line()

    def _broken(self, head: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(head))
        return head[:at] + chance.choice([b"", b"\r", b"\n", b"\r\n", b" ", b":", b"\0"]) + head[at + 1 :]


Said = tuple[object, ...]


def said_by(head: ParsedHead) -> Said:
    block = head.block
    assert isinstance(block, HeaderBlock)
    framing = block.framing
    means = (
        *(framing.lines, framing.minor, framing.digit, framing.host, framing.content_length),
        *(framing.chunked, framing.has_body, framing.keep_alive, framing.expects_continue),
        *(framing.upgrade, framing.is_plain),
    )
    return (
        head.method,
        head.target,
        head.host,
        block.raw,
        block.count,
        block.fields(),
        head.keep_alive,
        *means,
    )


def read_next(reads: RequestParser, data: bytes, *, at_once: bool) -> Said:
    """Return what is said of one request, or why it is refused."""
    if at_once and (whole := reads.receive_whole(data)) is not None:
        method, target, block = whole
        framing = block.framing
        values = framing.host, block, framing.minor, framing.keep_alive
        return said_by(ParsedHead(method.decode(), target.decode(), *values))
    if data:
        reads.feed(data)
    try:
        head = reads.next_request()
    except RefusedRequest as error:
        return "refused", error.status, error.reason
    return said_by(head) if isinstance(head, ParsedHead) else ("waits", head, reads.buffered)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("limits", LIMITS)
def test_a_request_is_read_as_if_it_were_the_first(limits: tuple[int, int, int], at_once: bool) -> None:
    like = refused = 0
    for seed in range(CONNECTIONS):
        blocks, reads = Blocks(seed), parser(*limits)
        for number in range(MOST_REQUESTS):
            data = blocks.next()
            mine = read_next(reads, data, at_once=at_once)
            assert mine == read_next(parser(*limits), data, at_once=False), f"seed {seed}, {number}: {data!r}"
            block = reads.block
            like += block is not None and block.likeness is not None
            refused += mine[0] == "refused"
            if mine[0] in ("refused", "waits") or reads.has_rest or reads.state is not Reading.NOTHING:
                break
    # Else nothing was tried.
    assert like > CONNECTIONS / 3
    assert refused > CONNECTIONS / 10


@pytest.mark.parametrize("limits", LIMITS)
def test_requests_that_came_together_are_read_as_if_each_were_the_first(limits: tuple[int, int, int]) -> None:
    like = 0
    for seed in range(CONNECTIONS):
        blocks, reads, other = Blocks(seed), parser(*limits), parser(*limits)
        data = b"".join(blocks.next() for _ in range(MOST_REQUESTS))
        for each in (reads, other):
            each.feed(data)
        for number in range(MOST_REQUESTS):
            other.block = None
            mine = read_next(reads, b"", at_once=False)
            assert mine == read_next(other, b"", at_once=False), f"seed {seed}, {number}: {data!r}"
            like += reads.block is not None and reads.block.likeness is not None
            if mine[0] in ("refused", "waits"):
                break
    assert like > CONNECTIONS / 3


def test_fields_that_others_have_in_common_are_not_split_again() -> None:
    reads = parser()
    seen = []
    for number in range(4):
        data = b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nId: %d\r\nC: d\r\n\r\n" % number
        reads.feed(data)
        head = reads.next_request()
        assert isinstance(head, ParsedHead)
        seen.append(head.block.fields())
    assert [dict(fields)[b"id"] for fields in seen] == [b"0", b"1", b"2", b"3"]
    assert seen[2][1] is seen[3][1]
    assert seen[2][3] is seen[3][3]
    assert seen[2][2] is not seen[3][2]
