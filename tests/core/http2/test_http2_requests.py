"""Requests on HTTP/2: what handlers see, and what is refused, how."""

from collections.abc import Callable
from functools import partial

import pytest
from h2.errors import ErrorCodes
from tests.core.driving import Driven
from tests.core.driving2 import Driven2

from httpng_core import Connection, Response, Settings
from httpng_core.testing import Http2Client, ReceivedStream

PSEUDO = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/"))


def refused(fields: tuple[tuple[str, str], ...], body: bytes | None = b"") -> tuple[int | None, int]:
    """How a header list is refused: the code of the reset, and the status; the connection goes on."""
    driven = Driven2()
    driven.client.send_fields(1, fields, body)
    driven.turn()
    stream = driven.client.streams[1]
    assert driven.exchanges == []
    assert driven.refused != []
    driven.begin()
    return stream.reset, stream.status


def test_a_request_as_its_handler_sees_it() -> None:
    driven = Driven2()
    more = (("accept", "a"), ("cookie", "b=1"), ("accept", "c"), ("cookie", "d=2"))
    exchange, _ = driven.begin("/path?x=1", "POST", headers=more, body=b"body", authority="example.com:80")
    request = exchange.request
    assert (request.method, request.path, request.query) == ("POST", "/path?x=1", "x=1")
    assert request.body == b"body"
    assert (request.version_major, request.version_minor, request.https) == (2, 0, False)
    assert request.host == "example.com"
    assert dict(request.headers) == {"host": "example.com:80", "accept": "a, c", "cookie": "b=1; d=2"}


def test_over_tls_requests_say_so_and_alpn_says_the_protocol() -> None:
    connection = Connection(Settings(), 0.0, https=True, protocol="h2")
    client = Http2Client()
    client.request()
    connection.receive_data(client.take(), 0.0)
    event = connection.next_event()
    assert event is not None
    assert event.exchange.request.https  # type: ignore[union-attr]
    connection = Connection(Settings(), 0.0, protocol="h2")
    connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 0.0)
    assert connection.next_event() is not None


def test_the_preface_may_come_byte_by_byte() -> None:
    driven = Driven(b"")
    client = Http2Client()
    client.request()
    for byte in client.take():
        driven.receive(bytes([byte]))
    assert driven.exchange.request.version_major == 2


@pytest.mark.parametrize("start", [b"P", b"PR", b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"])
def test_what_only_begins_as_the_preface_is_http1(start: bytes) -> None:
    driven = Driven(b"")
    driven.receive(start)
    assert driven.exchanges == []
    driven.receive(b"OPFIND / HTTP/1.1\r\nhost: x\r\n\r\n")
    if len(start) < 4:
        assert driven.exchange.request.method == start.decode() + "OPFIND"
    else:
        assert driven.refused != []


def test_a_part_of_the_preface_has_header_timeout() -> None:
    driven = Driven(b"")
    driven.receive(b"PRI * HT")
    driven.advance(10)
    assert driven.connection.close_expected()


def test_cookies_and_host_of_both_kinds() -> None:
    driven = Driven2()
    fields = (*PSEUDO, ("host", "x"))
    driven.client.send_fields(1, fields, b"")
    driven.turn()
    assert driven.exchange.request.headers.get_all("host") == ["x"]
    without = tuple(field for field in PSEUDO if field[0] != ":authority")
    driven.client.send_fields(3, (*without, ("host", "[::1]:80")), b"")
    driven.turn()
    assert driven.exchange.request.host == "[::1]"


def test_options_of_the_server() -> None:
    driven = Driven2()
    exchange, _ = driven.begin("*", "OPTIONS")
    assert exchange.request.path == "*"


@pytest.mark.parametrize(
    "fields",
    [
        PSEUDO[1:],
        PSEUDO[:1] + PSEUDO[2:],
        PSEUDO[:3],
        (*PSEUDO[:3], (":path", "")),
        (*PSEUDO[:3], (":path", "x")),
        (*PSEUDO[:3], (":path", "*")),
        (*PSEUDO[:3], (":path", "/#a")),
        (*PSEUDO[:3], (":path", "/a b")),
        (*PSEUDO, (":path", "/")),
        (*PSEUDO, (":protocol", "x")),
        (*PSEUDO, (":status", "200")),
        (PSEUDO[0], ("a", "b"), *PSEUDO[1:]),
        ((":method", "G T"), *PSEUDO[1:]),
        (*PSEUDO, ("Upper", "x")),
        (*PSEUDO, ("", "x")),
        (*PSEUDO, ("a", "b\r\nc: d")),
        (*PSEUDO, ("a", " b")),
        (*PSEUDO, ("connection", "close")),
        (*PSEUDO, ("keep-alive", "1")),
        (*PSEUDO, ("proxy-connection", "1")),
        (*PSEUDO, ("transfer-encoding", "chunked")),
        (*PSEUDO, ("upgrade", "h2c")),
        (*PSEUDO, ("te", "gzip")),
        (*PSEUDO, ("host", "y")),
        (*PSEUDO, ("content-length", "1")),
    ],
)
def test_a_malformed_request_is_a_stream_error(fields: tuple[tuple[str, str], ...]) -> None:
    assert refused(fields) == (ErrorCodes.PROTOCOL_ERROR, 0)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (((":method", "CONNECT"), (":authority", "x:80")), 501),
        ((*PSEUDO[:2], (":authority", "a@b"), PSEUDO[3]), 400),
        ((*PSEUDO[:2], PSEUDO[3]), 400),
        ((*PSEUDO, ("a", "x" * 65536)), 431),
    ],
)
def test_a_request_that_cannot_be_served_is_answered(
    fields: tuple[tuple[str, str], ...], status: int
) -> None:
    assert refused(fields) == (None, status)


def test_te_trailers_is_fine() -> None:
    driven = Driven2()
    driven.begin(headers=(("te", "trailers"),))


def test_an_answer_before_the_body_has_come_resets_without_an_error() -> None:
    driven = Driven2(max_body_len=10)
    _, stream = driven.request(method="POST", headers=(("content-length", "11"),), body=None)
    assert (stream.status, stream.reset) == (413, ErrorCodes.NO_ERROR)
    assert stream.complete
    driven.begin()


def test_a_body_without_a_length_is_limited_as_it_comes() -> None:
    driven = Driven2(max_body_len=10, date=lambda: b"Sun")
    number, stream = driven.request(method="POST", body=None)
    driven.client.h2.send_data(number, b"x" * 10)
    driven.turn()
    assert stream.status == 0
    driven.client.h2.send_data(number, b"x")
    driven.client.h2.send_data(number, b"y")
    driven.turn()
    assert (stream.status, stream.reset) == (413, ErrorCodes.NO_ERROR)
    assert stream.headers["date"] == "Sun"
    driven.begin()


@pytest.mark.parametrize("ends_with_trailers", [True, False])
def test_content_length_must_be_that_of_the_body(ends_with_trailers: bool) -> None:
    driven = Driven2()
    number, stream = driven.request(method="POST", headers=(("content-length", "5"),), body=None)
    driven.client.h2.send_data(number, b"abc", end_stream=not ends_with_trailers)
    if ends_with_trailers:
        driven.client.h2.send_headers(number, [("a", "b")], end_stream=True)
    driven.turn()
    assert driven.exchanges == []
    assert stream.reset == ErrorCodes.PROTOCOL_ERROR
    driven.begin()


def test_trailers_are_ignored() -> None:
    driven = Driven2()
    number, _ = driven.request(method="POST", body=None)
    driven.client.h2.send_data(number, b"abc")
    driven.client.h2.send_headers(number, [("a", "b")], end_stream=True)
    driven.turn()
    assert driven.exchange.request.body == b"abc"
    assert "a" not in driven.exchange.request.headers


def test_malformed_trailers_are_a_stream_error() -> None:
    driven = Driven2()
    number, stream = driven.request(method="POST", body=None)
    driven.client.h2.send_headers(number, [(":path", "/")], end_stream=True)
    driven.turn()
    assert stream.reset == ErrorCodes.PROTOCOL_ERROR


def test_padding_is_no_body() -> None:
    driven = Driven2(max_body_len=10)
    number, _ = driven.request(method="POST", body=None)
    driven.client.h2.send_data(number, b"abc", pad_length=200)
    driven.client.h2.send_data(number, b"", end_stream=True, pad_length=200)
    driven.turn()
    assert driven.exchange.request.body == b"abc"


def test_a_client_that_waits_for_100_gets_it() -> None:
    driven = Driven2()
    number, stream = driven.request(method="POST", headers=(("expect", "100-continue"),), body=None)
    assert stream.interim == [100]
    driven.client.h2.send_data(number, b"abc", end_stream=True)
    driven.turn()
    driven.exchange.respond(Response(body="ok"), driven.now)
    driven.turn()
    assert stream.body == b"ok"


# Credit for bodies ------------------------------------------------------------------------------------


def upload(driven: Driven2, number: int, size: int) -> int:
    """Sends as much of a body as the windows allow; tells how much is left."""
    client = driven.client.h2
    while size and (room := min(client.local_flow_control_window(number), 16384, size)):
        client.send_data(number, b"x" * room)
        size -= room
        driven.turn()
    return size


def test_a_long_body_gets_credit_as_it_comes() -> None:
    driven = Driven2()
    number, _ = driven.request(method="POST", body=None)
    assert upload(driven, number, 1 << 20) == 0
    driven.client.h2.end_stream(number)
    driven.turn()
    assert len(driven.exchange.request.body) == 1 << 20


def test_a_body_whose_length_fits_gets_no_credit() -> None:
    driven = Driven2()
    number, _ = driven.request(method="POST", headers=(("content-length", "60000"),), body=None)
    assert upload(driven, number, 60000) == 0
    assert driven.client.h2.local_flow_control_window(number) == 65535 - 60000


def test_unfinished_bodies_are_bounded_and_the_oldest_can_always_end() -> None:
    driven = Driven2(max_body_len=1 << 20)
    numbers = [driven.request(method="POST", body=None)[0] for _ in range(40)]
    left = dict.fromkeys(numbers, 1 << 20)
    for number in reversed(numbers):
        left[number] = upload(driven, number, left[number])
    held = sum((1 << 20) - rest for rest in left.values())
    assert held < (3 << 20) + 40 * 65535
    assert left[numbers[0]] == 0
    for number in numbers:
        assert upload(driven, number, left[number]) == 0
        driven.client.h2.end_stream(number)
        driven.turn()
    assert len(driven.exchanges) == 40


def test_a_body_that_we_hold_does_not_time_out() -> None:
    driven = Driven2(max_body_len=1 << 20)
    first, *others = (driven.request(method="POST", body=None)[0] for _ in range(10))
    left = {number: upload(driven, number, 1 << 20) for number in others}
    held = [number for number in others if left[number]]
    assert held
    driven.advance(20)
    upload(driven, first, 1)
    driven.advance(20)
    driven.turn()
    whole = [number for number in others if not left[number]]
    assert driven.client.streams[held[0]].status == 0
    assert [driven.client.streams[number].status for number in whole] == [408] * len(whole)
    assert upload(driven, held[0], left[held[0]]) < left[held[0]]


def test_a_body_that_is_given_up_lets_others_go_on() -> None:
    driven = Driven2(max_body_len=1 << 20)
    first, second = (driven.request(method="POST", body=None)[0] for _ in range(2))
    third = driven.request(method="POST", body=None)[0]
    for number in (second, third):
        upload(driven, number, (1 << 20) - 1)
    assert upload(driven, third, 10000) > 0 or upload(driven, second, 10000) > 0
    for number in (first, second):
        driven.client.h2.reset_stream(number)
        driven.turn()
    assert upload(driven, third, 1) == 0


def test_a_body_that_takes_longer_than_body_timeout_is_408() -> None:
    driven = Driven2(min_body_rate=0)
    number, stream = driven.request(method="POST", body=None)
    driven.advance(29)
    driven.client.h2.send_data(number, b"x")
    driven.turn()
    driven.advance(29)
    assert stream.status == 0
    driven.advance(1)
    driven.turn()
    assert (stream.status, stream.reset) == (408, ErrorCodes.NO_ERROR)
    driven.begin()


# The upgrade ------------------------------------------------------------------------------------------

UPGRADE = (
    b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n"
    b"upgrade: h2c\r\nhttp2-settings: %s\r\n%s\r\n"
)
SETTINGS = b"AAQAAAAK"
"""INITIAL_WINDOW_SIZE 10"""


def upgraded(settings: bytes = SETTINGS, more: bytes = b"", body: bytes = b"", *, on: bool = True) -> Driven:
    return Driven(UPGRADE % (settings, more) + body, h2c_upgrade=on, http2_engine=Driven2.engine)


def test_an_upgrade_goes_on_as_stream_1_with_the_settings_of_the_client() -> None:
    driven = upgraded()
    request = driven.exchange.request
    assert (request.path, request.version_major, request.version_minor) == ("/a", 2, 0)
    driven.exchange.respond(Response(body="x" * 15), driven.now)
    driven.push()
    head, _, rest = bytes(driven.wire).partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c"
    client = Http2Client(10, preface=False)
    client.h2.initiate_upgrade_connection()
    stream = client.streams[1] = ReceivedStream()
    client.receive(rest)
    assert stream.body == b"x" * 10
    client.request("/b")
    driven.receive(client.take())
    driven.push()
    client.receive(bytes(driven.wire)[len(head) + 4 + len(rest) :])
    assert stream.body == b"x" * 15
    assert stream.complete
    assert driven.exchange.request.path == "/b"


def test_what_follows_the_upgrade_at_once_is_http2() -> None:
    client = Http2Client(preface=False)
    client.h2.initiate_upgrade_connection()
    client.h2.send_headers(3, PSEUDO, end_stream=True)
    driven = upgraded(body=client.take())
    assert [exchange.request.path for exchange in driven.exchanges] == ["/a", "/"]


def test_an_upgrade_while_draining_takes_no_more_than_that() -> None:
    driven = Driven(UPGRADE[:10], h2c_upgrade=True)
    driven.connection.drain(driven.now)
    driven.receive((UPGRADE % (SETTINGS, b""))[10:])
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.connection.half_close_expected()


def not_upgraded(old: bytes, new: bytes) -> Driven:
    return Driven(UPGRADE.replace(old, new) % (SETTINGS, b""), h2c_upgrade=True)


@pytest.mark.parametrize(
    "make",
    [
        partial(upgraded, on=False),
        partial(upgraded, b"!"),
        partial(upgraded, b"AAQA"),
        partial(upgraded, more=b"http2-settings: AAQAAAAK\r\n"),
        partial(upgraded, more=b"content-length: 1\r\n", body=b"x"),
        partial(not_upgraded, b"h2c", b"x"),
        partial(not_upgraded, b", HTTP2-Settings", b""),
        partial(not_upgraded, b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_other_upgrades_are_served_as_http1(make: Callable[[], Driven]) -> None:
    driven = make()
    assert driven.exchange.request.version_major == 1
    driven.exchange.respond(Response(body="ok"), driven.now)
    driven.push()
    assert driven.responses()[0].body == b"ok"
