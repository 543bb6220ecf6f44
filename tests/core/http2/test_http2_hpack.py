"""Heads of responses as their client reads them, and what h2 keeps of streams."""

from weakref import ref

from tests.core.driving2 import Driven2

from httpng_core import Response
from httpng_core.http2 import Stream
from httpng_core.http2.reference import ReferenceSession


def test_responses_of_one_head_tell_their_own_length() -> None:
    driven = Driven2()
    for size in (1, 22, 333):
        exchange, stream = driven.begin()
        exchange.respond(Response(body=b"x" * size, headers={"X-Name": "a"}), driven.now)
        driven.turn()
        assert stream.headers == {"x-name": "a", "content-length": str(size)}


def test_a_head_longer_than_a_frame_goes_on_in_continuations() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write_header(200, {"x-long": "~" * 40_000}, driven.now)
    exchange.finish(driven.now)
    before = len(driven.wire)
    driven.push()
    types, flags, at = [], [], before
    while at < len(driven.wire):
        types.append(driven.wire[at + 3])
        flags.append(driven.wire[at + 4])
        at += 9 + int.from_bytes(driven.wire[at : at + 3])
    assert types == [1, 9, 9]
    assert flags == [1, 0, 4], "END_STREAM on the first, END_HEADERS on the last"
    assert stream.headers["x-long"] == "~" * 40_000
    assert stream.complete


def test_streams_that_are_over_are_forgotten_by_h2() -> None:
    driven = Driven2(http2_engine="reference")
    streams = []
    for _ in range(100):
        exchange, _ = driven.begin()
        assert isinstance(exchange.transport, Stream)
        session = exchange.transport.owner.session
        assert isinstance(session, ReferenceSession)
        streams.append(ref(session.h2.streams[max(session.h2.streams)]))
        exchange.finish(driven.now)
        driven.turn()
        assert sum(stream() is not None for stream in streams) <= 2
