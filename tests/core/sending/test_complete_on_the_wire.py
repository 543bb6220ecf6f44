"""A response that is complete on the wire is over, whether or not its handler still runs."""

import pytest
from tests.core.conftest import Carry
from tests.core.driving import GET, HEAD, Driven
from tests.core.driving2 import Driven2
from tests.core.transports import TRANSPORTS

from httpng_core import ExchangeEnded, Response

# Headers of responses that have no content; a GET is answered by these codes, a HEAD by any.
BODILESS = pytest.mark.parametrize(
    ("method", "code"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)]
)


@TRANSPORTS
@BODILESS
def test_the_header_block_of_a_bodiless_response_is_all_of_it(
    carry: Carry, kind: str, method: str, code: int
) -> None:
    one = carry(kind, method)
    call = one.header(code)
    assert one.outcomes == []
    one.push()
    assert call.result is None
    assert (one.outcomes, one.status, one.body) == (["complete"], code, b"")
    assert one.end == "whole" or (kind == "tls" and method == "HEAD"), "a HEAD is decoded as a GET there"


@TRANSPORTS
@BODILESS
def test_so_a_loop_of_writes_ends(carry: Carry, kind: str, method: str, code: int) -> None:
    one = carry(kind, method)
    one.header(code)
    results = []
    for _ in range(5):
        results.append(one.write(b"x" * 1000).result)
        one.push()
    assert results[0] is None
    assert all(told is not None and told.cancelled and told.body_bytes_sent == 0 for told in results[1:])
    assert one.positions == (1000, 1000)
    assert not one.exchange.stats(one.now).cancelled, "it ended well"


@TRANSPORTS
def test_the_last_byte_of_a_declared_length_is_the_end(carry: Carry, kind: str) -> None:
    one = carry(kind)
    one.header(headers={"content-length": 10})
    one.write(b"12345")
    one.push()
    assert one.outcomes == []
    one.write(b"67890")
    one.push()
    assert (one.outcomes, one.body, one.end) == (["complete"], b"1234567890", "whole")
    late = one.write(b"x").result
    assert late is not None
    assert late.cancelled
    one.fail()
    one.finish()
    assert one.outcomes == ["complete"]


@TRANSPORTS
def test_a_length_of_nothing_is_reached_with_the_header_block(carry: Carry, kind: str) -> None:
    one = carry(kind)
    one.header(headers={"content-length": 0})
    one.push()
    assert (one.outcomes, one.body, one.end) == (["complete"], b"", "whole")


@TRANSPORTS
def test_it_is_not_over_before_the_stack_has_it(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=1 << 20)
    one.header(headers={"content-length": 100_000})
    write = one.write(b"x" * 100_000)
    assert write.settled
    one.push(50_000)
    assert one.outcomes == []
    one.fail()
    one.push()
    # The handler raised, and what was accepted is the whole response nevertheless.
    assert one.outcomes == ["cut short"]
    assert one.body == b"x" * 100_000


@pytest.mark.parametrize(
    ("code", "headers", "body"),
    [(204, None, ""), (200, {"content-length": 0}, ""), (200, {"content-length": 3}, "abc")],
)
def test_a_handler_that_raises_while_the_kernel_is_asked_ends_no_response_well(
    code: int, headers: dict[str, int] | None, body: str
) -> None:
    driven = Driven(GET)
    exchange = driven.exchange
    driven.header(code, headers)
    driven.write(body)
    offer = b"".join(driven.connection.data_to_send(driven.now))
    exchange.fail(driven.now)
    driven.connection.bytes_accepted(len(offer), driven.now)
    event = driven.connection.next_event()
    assert isinstance(event, ExchangeEnded)
    assert event.outcome == "cut short"
    assert event.end == "handler_error"
    assert driven.connection.half_close_expected(), "else another request would follow"


@pytest.mark.parametrize("first", [HEAD, GET])
def test_http1_goes_on_to_the_next_request_while_the_handler_runs(first: bytes) -> None:
    driven = Driven(first + GET)
    handled = driven.exchange
    driven.header(headers={"content-length": 2})
    if first is GET:
        driven.write("ab")
    driven.push()
    assert len(driven.exchanges) == 2
    assert driven.exchange is not handled
    late = handled.write(b"late", driven.now).result
    assert late is not None
    assert late.cancelled
    handled.fail(driven.now)
    driven.exchange.respond(Response(body="next"), driven.now)
    driven.push()
    methods = ("HEAD" if first is HEAD else "GET", "GET")
    assert [each.body for each in driven.responses(*methods)] == [b"" if first is HEAD else b"ab", b"next"]


def test_http2_says_end_stream_with_that_frame() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write_header(200, {"content-length": 3}, driven.now)
    driven.turn()
    before = len(driven.wire)
    exchange.write(b"abc", driven.now)
    driven.turn()
    assert bytes(driven.wire[before:]) == b"\0\0\x03\0\x01\0\0\0\x01abc", "DATA with END_STREAM"
    assert stream.complete


@pytest.mark.parametrize("headers", [None, {"content-length": 5}])
def test_a_205_has_no_content_and_says_so(headers: dict[str, int] | None) -> None:
    driven = Driven()
    driven.header(205, headers)
    driven.push()
    assert driven.wire == b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"
    two = Driven2()
    exchange, stream = two.begin()
    exchange.write_header(205, headers, two.now)
    two.turn()
    assert (stream.status, stream.complete, stream.headers) == (205, True, {"content-length": "0"})


# Half-close -------------------------------------------------------------------------------------------


def test_a_fin_counts_once_when_it_comes() -> None:
    """It came with the request, behind bytes that have no place to go: the client reads on."""
    driven = Driven()
    driven.connection.receive_eof(driven.now, unread=True)
    driven.write("abc")
    driven.push()
    driven.connection.receive_eof(driven.now, unread=True)
    driven.eof()
    assert driven.outcomes == []
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]
    assert driven.body == b"abc"


@pytest.mark.parametrize(("rule", "cancels"), [("streaming", True), ("always", True), ("never", False)])
def test_one_that_comes_later_behind_unread_bytes_cancels_at_once(rule: str, cancels: bool) -> None:
    driven = Driven(cancel_on_half_close=rule)
    driven.write("abc")
    driven.push()
    driven.connection.receive_eof(driven.now, unread=True)
    assert driven.outcomes == (["cancelled"] if cancels else [])
