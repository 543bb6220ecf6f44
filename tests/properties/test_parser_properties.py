"""Requests of any shape, cut anywhere: what was written is read, and what is broken is refused in one way."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.http1.reading import Outcome, parser, read
from tests.properties.http1_requests import Requests

from httpng_core.http1 import ParsedHead

quick = settings(max_examples=300, deadline=None, derandomize=True)
token = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=8).map(str.encode)
target = st.text("".join(map(chr, range(0x21, 0x7F))).replace("#", ""), max_size=20).map(
    lambda t: b"/" + t.encode()
)
value = st.text("".join(map(chr, [9, *range(0x20, 0x7F), *range(0x80, 0x100)])), max_size=20)
fields = st.lists(
    st.tuples(token.map(lambda name: b"x-" + name), value.map(lambda v: v.encode("latin-1"))), max_size=5
)
body = st.one_of(st.none(), st.binary(max_size=50), st.lists(st.binary(min_size=1, max_size=20), max_size=8))
request = st.tuples(token.filter(lambda name: name != b"CONNECT"), target, fields, body)
Written = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes | list[bytes] | None]


def wire(written: Written) -> bytes:
    method, path, pairs, content = written
    lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: h", *(b"%s:%s" % pair for pair in pairs)]
    if isinstance(content, bytes):
        lines.append(b"content-length: %d" % len(content))
        tail = content
    elif content is not None:
        lines.append(b"transfer-encoding: chunked")
        tail = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*content, b""])
    else:
        tail = b""
    return b"\r\n".join([*lines, b"", b""]) + tail


def cut_by_chance(data: bytes, seed: int) -> list[bytes]:
    chance = Random(seed)
    pieces = []
    while data:
        size = chance.choice([1, 2, 5, 20, 100])
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@quick
@given(st.lists(request, min_size=1, max_size=3), st.integers(0, 9))
def test_what_was_written_is_read(written: list[Written], seed: int) -> None:
    outcome = read(cut_by_chance(b"".join(map(wire, written)), seed))
    assert outcome.refused is None
    assert len(outcome.requests) == len(written)
    for one, (method, path, pairs, content) in zip(outcome.requests, written, strict=True):
        assert (one.method.encode(), one.target.encode(), one.host) == (method, path, "h")
        assert one.body == (b"".join(content) if isinstance(content, list) else content or b"")
        mine = [(name, text) for name, text in one.block.fields() if name.startswith(b"x-")]
        assert mine == [(name.lower(), text.strip(b" \t")) for name, text in pairs]


@quick
@given(st.lists(request, min_size=1, max_size=2), st.integers(1, 40))
def test_a_streamed_body_is_the_same(written: list[Written], limit: int) -> None:
    data = b"".join(map(wire, written))
    whole = read([data])
    reader = parser()
    reader.stream = True
    reader.feed(data)
    for one in whole.requests:
        head = reader.next_request()
        assert isinstance(head, ParsedHead)
        content = b""
        while piece := reader.next_piece(limit):
            assert len(piece) <= limit
            content += piece
        assert (head.target, content) == (one.target, one.body)
    assert reader.buffered == 0


@settings(quick, max_examples=1000)
@given(st.binary(max_size=60), st.integers(0, 9))
def test_any_bytes_are_read_or_refused(data: bytes, seed: int) -> None:
    assert alike(read([data]), read(cut_by_chance(data, seed)))


LIMITS = [(65536, 1 << 20, 256), (70, 100, 256), (65536, 3, 2), (40, 0, 1)]


def test_pieces_make_no_difference() -> None:
    for seed in range(2000):
        data = Requests(seed).wire()
        for limits in LIMITS:
            whole, pieces = read([data], parser(*limits)), read(cut_by_chance(data, seed), parser(*limits))
            assert alike(whole, pieces), f"seed {seed}, {limits}: {data!r} {whole} {pieces}"


def alike(one: Outcome, other: Outcome) -> bool:
    """Tell whether two outcomes are the same; what is left unread counts only where nothing was refused."""
    if (one.values, one.status) != (other.values, other.status):
        return False
    return one.refused is not None or one.rest == other.rest
