"""What is kept of heads, because clients and handlers repeat themselves, is bounded, and stays true."""

from typing import Any

from h2.errors import ErrorCodes
from tests.core.driving2 import Driven2
from tests.core.http2.engine.driving import Driven, frame

MANY = 600
"""More than is kept of anything."""


def test_more_response_heads_than_are_kept() -> None:
    driven = Driven2()
    for number in range(MANY):
        exchange, stream = driven.begin()
        exchange.write_header(200, {"x-number": str(number)}, driven.now)
        exchange.finish(driven.now)
        driven.turn()
        assert stream.headers["x-number"] == str(number)


def test_more_requests_that_differ_than_are_kept() -> None:
    driven = Driven2()
    for number in range(MANY):
        exchange, _ = driven.begin(f"/{number}", headers=(("x-number", str(number)),))
        assert exchange.request.path == f"/{number}"
        assert exchange.request.headers["x-number"] == str(number)
        exchange.finish(driven.now)
        driven.turn()


def test_more_blocks_that_leave_the_table_alone_than_are_kept() -> None:
    """What they say is taken from a memo where it is the same, and only there."""
    driven = Driven()
    for stream_id in range(1, 201, 2):
        digits = b"%03d" % (stream_id % 150)
        block = b"\x82\x86\x04\x04/" + digits + b"\x01\x01x"
        driven.send(frame(1, 5, stream_id, block))
        event: Any = driven.events[-1]
        assert event.head.path == b"/" + digits
        driven.respond(stream_id)


def test_trailers_that_are_too_long_reset_their_stream() -> None:
    driven = Driven()
    driven.request(
        1, ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")), False
    )
    block = driven.block(tuple((b"x-%d" % number, b"y") for number in range(300)))
    driven.send(frame(1, 5, 1, block))
    assert driven.resets == [(1, ErrorCodes.ENHANCE_YOUR_CALM)]
    driven.request(3)
    assert driven.begun == [1, 3]
