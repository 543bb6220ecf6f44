"""Responses on the wire: how each is delimited, and whether the connection goes on after it."""

from typing import Any

import pytest
from tests.core.driving import GET, GET_10, HEAD, Driven

from httpng_core import HttpDate, Response, Settings
from httpng_core.connection import Connection
from httpng_core.http1 import refusal
from httpng_core.wire import Frame

KEEP_10 = b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
HEAD_10 = b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def answer(request: bytes, code: int = 200, headers: Any = None, *bodies: bytes) -> Driven:
    """A response of some writes, each in a frame of its own, all taken."""
    driven = Driven(request)
    driven.header(code, headers)
    for body in bodies:
        driven.write(body)
        driven.push()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]
    return driven


def test_chunks_to_the_byte() -> None:
    driven = answer(GET, 200, {"x": "y"}, b"abc", b"d" * 17)
    assert driven.wire == (
        b"HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n11\r\n" + b"d" * 17 + b"\r\n0\r\n\r\n"
    )


def test_a_content_length_to_the_byte() -> None:
    driven = answer(GET, 404, {"content-length": 5}, b"abc", b"de")
    assert driven.wire == b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nabcde"


def test_head_body_and_end_go_in_one_frame_if_they_are_there() -> None:
    driven = Driven()
    driven.exchange.respond(Response(body="abc"), driven.now)
    assert len(driven.connection.data_to_send(driven.now)) == 1
    assert driven.push() == len(driven.wire)
    assert driven.wire == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"


def test_a_chunked_body_and_its_end_go_in_one_frame() -> None:
    driven = Driven()
    driven.write("abc")
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.wire.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


def test_a_code_without_a_phrase() -> None:
    assert answer(GET, 299).wire.startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize(
    ("request_bytes", "code", "headers", "wire"),
    [
        (HEAD, 200, {}, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (HEAD, 200, {"content-length": 9}, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (GET, 204, {}, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, 204, {"content-length": 9}, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, 304, {}, b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (GET, 304, {"content-length": 9}, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (HEAD, 204, {}, b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_responses_without_a_body(request_bytes: bytes, code: int, headers: Any, wire: bytes) -> None:
    assert answer(request_bytes, code, headers, b"dropped", b"this too").wire == wire


# HTTP/1.0 ---------------------------------------------------------------------------------------------


def test_an_http_1_0_body_ends_with_the_connection() -> None:
    driven = answer(GET_10, 200, {}, b"abc", b"def")
    assert driven.wire == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcdef"
    assert driven.connection.half_close_expected()


def test_keep_alive_in_http_1_0_needs_a_length() -> None:
    driven = answer(KEEP_10, 200, {"content-length": 3}, b"abc")
    assert driven.wire == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc"
    driven.receive(GET_10)
    assert len(driven.exchanges) == 2


def test_without_one_the_connection_closes_all_the_same() -> None:
    driven = answer(KEEP_10, 200, {}, b"abc")
    assert driven.wire == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"
    assert driven.connection.half_close_expected()


def test_http_1_0_without_keep_alive_closes_despite_a_length() -> None:
    driven = answer(GET_10, 200, {"content-length": 3}, b"abc")
    assert b"connection: close" in driven.wire
    assert driven.connection.half_close_expected()


def test_no_chunks_for_an_http_1_0_head_request() -> None:
    assert b"chunked" not in answer(HEAD_10, 200, {}).wire


def test_keep_alive_and_close_together_close_in_http_1_0() -> None:
    driven = answer(b"GET / HTTP/1.0\r\nconnection: keep-alive, close\r\n\r\n", 200, {"content-length": 0})
    assert driven.connection.half_close_expected()


# Whether the connection goes on -----------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"connection": "close"}, {"connection": ["x", "Close"]}])
def test_a_handler_may_close_the_connection(headers: Any) -> None:
    driven = answer(GET, 200, headers | {"content-length": 0})
    assert b"connection: close\r\n" in driven.wire
    assert driven.connection.half_close_expected()


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, CLOSE"])
def test_a_client_may_close_the_connection(value: bytes) -> None:
    driven = answer(CLOSE.replace(b"close", value), 200, {"content-length": 0})
    assert driven.wire.count(b"connection: close\r\n") == 1
    assert driven.connection.half_close_expected()


def test_else_it_goes_on() -> None:
    driven = answer(GET, 200, {}, b"abc")
    assert b"connection" not in driven.wire
    assert not driven.connection.half_close_expected()
    assert not driven.connection.close_expected()
    driven.receive(GET)
    assert len(driven.exchanges) == 2


# Date -------------------------------------------------------------------------------------------------


def test_the_date_is_sent_where_there_is_a_clock() -> None:
    connection = Connection(Settings(), 0.0, date=HttpDate(lambda: 784_111_777.0))
    connection.receive_data(GET, 0.0)
    driven = Driven(b"")
    driven.connection = connection
    driven.take_events()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.responses()[0].headers["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    driven.receive(GET)
    driven.header(200, {"Date": "today"})
    driven.push()
    assert driven.responses()[1].headers["date"] == "today"
    driven.exchange.finish(driven.now)
    driven.push()
    driven.receive(b"\0")
    driven.push()
    assert driven.responses()[2].status == 400
    assert driven.responses()[2].headers["date"].startswith("Sun, ")


def test_a_refusal_is_a_whole_response() -> None:
    assert refusal(413, "too long", None) == (
        b"HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: 8\r\nconnection: close\r\n\r\ntoo long"
    )


# Frames -----------------------------------------------------------------------------------------------


def test_small_frames_are_one_buffer_large_bodies_are_not_copied() -> None:
    driven, body = Driven(), b"x" * 65536
    driven.write(b"abc")
    assert len(driven.connection.data_to_send(driven.now)) == 1
    driven.push()
    for _ in range(5):
        driven.write(body)
        driven.push()
    driven.write(body)
    prefix, middle, suffix = driven.connection.data_to_send(driven.now)
    assert (prefix, suffix) == (b"10000\r\n", b"\r\n")
    assert middle is body


def test_a_frame_counts_its_wire_bytes() -> None:
    assert Frame(Driven().exchange, 4, 3, 5, 3, False).size == 15


@pytest.mark.parametrize("taken", range(0, 60, 7))
def test_what_was_not_taken_of_a_frame_goes_first(taken: int) -> None:
    driven = Driven()
    driven.write("abcdefghij")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    driven.connection.bytes_accepted(taken, driven.now)
    driven.write("klm")
    rest = b"".join(driven.connection.data_to_send(driven.now))
    assert rest == (offer[taken:] if taken else offer.replace(b"a\r\nabcdefghij", b"d\r\nabcdefghijklm"))


def test_limit_bounds_the_body_bytes_of_a_frame() -> None:
    driven = Driven()
    driven.write("abcdef")
    driven.push(limit=4)
    assert b"4\r\nabcd\r\n2\r\nef\r\n" in driven.wire


def sizes_taken(driven: Driven, count: int) -> list[int]:
    """How many body bytes each of the next offers has; all are taken whole."""
    sizes = []
    for _ in range(count):
        before = driven.stats.sent
        offer = b"".join(driven.connection.data_to_send(driven.now))
        driven.connection.bytes_accepted(len(offer), driven.now)
        sizes.append(driven.stats.sent - before)
    return sizes


def test_offers_grow_from_16_to_256_kib_while_they_are_taken_whole() -> None:
    driven = Driven(default_send_window=1 << 22)
    driven.header()
    driven.push()
    driven.write(b"x" * 2_000_000)
    assert sizes_taken(driven, 6) == [16384, 32768, 65536, 131072, 262144, 262144]


def test_a_long_write_is_drawn_a_frame_at_a_time_however_large_offers_are() -> None:
    driven = Driven()
    driven.write(b"x" * 2_000_000)
    assert sizes_taken(driven, 5) == [16384, 32768, 65536, 65536, 65536]


@pytest.mark.parametrize("length", [None, 1 << 20])
def test_what_a_client_that_stalls_leaves_committed(length: int | None) -> None:
    """At most 64 KiB of chunks, and nothing of a body with a length, however large the offers had grown."""
    driven = Driven(default_send_window=1 << 22)
    driven.header(headers={} if length is None else {"content-length": length})
    driven.write(b"x" * (1 << 20))
    assert sizes_taken(driven, 5)[-1] == 262144
    assert sum(map(len, driven.connection.data_to_send(driven.now))) >= 256 * 1024
    driven.connection.bytes_accepted(70_001, driven.now)
    tail = driven.connection.statistics().ledger - driven.connection.accepted
    assert tail == 0 if length else 0 < tail < 64 * 1024 + 16
