"""A bank of attacks on HTTP/1.1: what each sends, what its peer is to see, and what memory it may buy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
KIB = 1024
SLACK = 640 * KIB
"""What a connection may take whatever comes: reads of 64 KiB, the response, what Python keeps around them."""


@dataclass(frozen=True)
class Attack:
    """One connection's worth.

    Attributes:
        name: what it is.
        pieces: what is sent, each piece by a send of its own.
        statuses: the status of each response, the last one that of what comes again and again.
        responses: how many there are.
        memory: how many bytes the server may take for it at most.
    """

    name: str
    pieces: Callable[[], Iterator[bytes]]
    status: int
    responses: int = 1
    memory: int = SLACK


def once(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([data])


def small(data: bytes, size: int) -> Callable[[], Iterator[bytes]]:
    return lambda: (data[at : at + size] for at in range(0, len(data), size))


def body(size: int) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size


def long_head(size: int, line: bytes) -> bytes:
    start = GET[:-2]
    return start + line * ((size - len(start) - 2) // len(line)) + b"\r\n"


BANK = [
    Attack("chunks of 1 byte", once(CHUNKED + b"1\r\nx\r\n" * 50_000 + LAST_CHUNK), 200, 1, 100_000 + SLACK),
    Attack(
        "chunks of 2 bytes", once(CHUNKED + b"2\r\nxx\r\n" * 50_000 + LAST_CHUNK), 200, 1, 200_000 + SLACK
    ),
    Attack("a body in pieces of 2 bytes", small(body(8_000), 2), 200),
    Attack("a chunked body byte by byte", small(CHUNKED + b"1\r\nx\r\n" * 800 + LAST_CHUNK, 1), 200),
    Attack("a body of 1 MB", once(body(1_000_000)), 200, 1, 2_000_000 + SLACK),
    Attack("2,000 requests in a row", once(GET * 2_000), 200, 2_000, 1024 * KIB),
    Attack(
        "a head of 60 KB in pieces of 10 bytes",
        small(long_head(60_000, b"a: %s\r\n" % (b"b" * 994)), 10),
        200,
    ),
    Attack("a head without an end", once(GET[:-2] + b"a: " + b"b" * 1_000_000), 431),
    Attack("a request line without an end", once(b"GET /" + b"a" * 1_000_000), 431),
    Attack("5,000 header fields", once(long_head(50_000, b"a: bcd\r\n")), 431),
    Attack("a flood of empty lines", once(b"\r\n" * 500_000), 400),
    Attack("empty lines byte by byte", small(b"\r\n" * 500, 1), 400),
    Attack("long chunk extensions", once(CHUNKED + (b"1;a=" + b"b" * 4000 + b"\r\nx\r\n") * 200), 400),
    Attack("many chunk extensions", once(CHUNKED + b"1;a\r\nx\r\n" * 100_000), 400),
    Attack("a chunk line without an end", once(CHUNKED + b"1" * 1_000_000), 400),
    Attack("leading zeros of a chunk size", once(CHUNKED + b"0" * 100_000), 400),
    Attack("a bare CR in a chunk extension", once(CHUNKED + b"2;a\rb"), 400),
    Attack("a bare LF behind a chunk size", once(CHUNKED + b"2\n"), 400),
    Attack("a bare LF in a head", once(b"GET / HTTP/1.1\nHost: x\n"), 400),
    Attack("20,000 trailer fields", once(CHUNKED + b"0\r\n" + b"a: b\r\n" * 20_000), 431),
    Attack("trailers without an end", once(CHUNKED + b"0\r\na: " + b"b" * 1_000_000), 431),
    Attack("a body that is too long", once(CHUNKED + b"ffffffff\r\n" + b"x" * 3_000_000), 413, 1, 2_200_000),
    Attack("a long target of no form", once(b"GET " + b"\\" * 16_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"), 400),
    Attack(
        "a long Host that is none", once(b"GET / HTTP/1.1\r\nHost: " + b"\xe9" * 60_000 + b"\r\n\r\n"), 400
    ),
    Attack("garbage", once(bytes(range(256)) * 4_000), 400),
]
