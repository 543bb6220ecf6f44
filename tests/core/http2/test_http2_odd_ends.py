"""What seldom comes together on HTTP/2, on both engines: limits, ends, and who asks."""

import pytest
from tests.core.driving2 import Driven2
from tests.core.websocket.speaking import TEXT, close, frame
from tests.core.websocket.test_http2 import Socket2

from httpng_core import Admission, Feed, Host, RequestRefused, over_limit
from httpng_core.websocket import WebSocket

ENGINES = pytest.mark.parametrize("engine", ["fast", "reference"])
"""The reference as well, which other tests here run on in the long run alone."""
FULL = over_limit("max_requests", "too many requests")
PART = b"\0\x40\0\x01\x04\0\0\0\x09" + bytes(200)
"""Of a frame with headers that has 16 KiB."""


@ENGINES
def test_who_has_company_shares_what_the_kernel_has(engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    first, _ = driven.begin()
    assert first.transport.shares
    assert not first.transport.has_company()
    second, _ = driven.begin()
    assert first.transport.has_company()
    second.reset(driven.now)
    assert not first.transport.has_company()
    driven.connection.drain(driven.now)
    driven.turn()
    assert driven.connection.statistics().idle_since is None


@ENGINES
def test_a_request_that_may_not_begin_is_answered_with_503(engine: str) -> None:
    admission = Admission()
    driven = Driven2(http2_engine=engine, host=Host(lambda: None, admission=admission))
    for full in (lambda has_body: FULL, lambda has_body: FULL if has_body else None):
        admission.full = full
        _, stream = driven.request("/", "POST", body=b"hello")
        assert (stream.status, stream.complete) == (503, True)
        assert "retry-after" in stream.headers
    admission.full = lambda has_body: None
    for number in range(4):
        exchange, _ = driven.begin(f"/{number}")
        assert exchange.request.path == f"/{number}"
    assert driven.refused == [503, 503]


def test_requests_that_are_alike_are_among_those_that_are_looked_at() -> None:
    admission = Admission()
    driven = Driven2(host=Host(lambda: None, admission=admission))
    driven.begin()
    admission.open = {}
    exchanges = [driven.begin()[0] for _ in range(3)]
    assert list(admission.open) == exchanges
    for exchange in exchanges:
        exchange.answer(200, None, b"hello", driven.now)
    driven.turn()
    assert admission.open == {}


@pytest.mark.parametrize("ends_all", [False, True])
@ENGINES
def test_on_gap_may_end_its_exchange_or_all(ends_all: bool, engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    feed = Feed(clock=driven.clock)
    (exchange, stream), (other, other_stream) = driven.begin(), driven.begin()

    def on_gap(lost: int) -> str:
        if ends_all:
            driven.connection.abort(driven.now)
        else:
            exchange.reset(driven.now)
        return "[gap]"

    exchange.follow(feed.follower(on_gap=on_gap), driven.now)
    driven.turn()
    feed.publish("1")
    feed.publish("2")
    other.write(b"hello", driven.now)
    driven.push()
    assert exchange.is_over
    assert bytes(stream.body) == b""
    assert bytes(other_stream.body) == (b"" if ends_all else b"hello")


def test_an_answer_that_is_given_up_before_it_was_offered_is_not_sent() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.answer(200, None, b"hello", driven.now)
    driven.connection.prepare()
    exchange.reset(driven.now)
    driven.connection.data_to_send(driven.now, None)
    driven.connection.bytes_accepted(0, driven.now)
    driven.turn()
    assert bytes(stream.body) == b""
    assert driven.outcomes == ["reset"]


def test_whole_answers_need_not_be_told() -> None:
    driven = Driven2(tells_complete=False)
    streams = [driven.client.request(f"/{number}") for number in range(3)]
    driven.turn()
    for exchange in driven.exchanges:
        exchange.answer(200, None, b"hello", driven.now)
    driven.turn()
    assert [bytes(driven.client.streams[one].body) for one in streams] == [b"hello"] * 3
    assert driven.outcomes == []


@pytest.mark.parametrize("drains", [False, True])
def test_an_answer_that_goes_out_at_once_leaves_an_idle_connection(drains: bool) -> None:
    driven = Driven2(keepalive_timeout=5)

    def send(wire: bytes) -> int:
        driven.wire += wire
        return len(wire)

    exchange, stream = driven.begin()
    if drains:
        driven.connection.drain(driven.now)
        driven.push()
    driven.exchange.answer(200, None, b"hello", driven.now, send)
    driven.push()
    assert bytes(stream.body) == b"hello"
    assert exchange.is_over
    driven.advance(5)
    driven.turn()
    assert driven.client.goaway is not None


@pytest.mark.parametrize("size", [10, 60_000, 200_000])
def test_trailers_behind_a_body_of_any_length(size: int) -> None:
    driven = Driven2(1 << 20)
    driven.client.give(1 << 20)
    exchange, stream = driven.begin()
    exchange.write(bytes(size), driven.now, 1, 1 << 20)
    exchange.close(driven.now, trailers={"x-end": "1"})
    driven.turn()
    assert len(stream.body) == size
    assert stream.complete
    assert stream.trailers == [("x-end", "1")]


def test_trailers_behind_a_payload_that_waits_for_its_window() -> None:
    driven = Driven2(20_000, reads=False)
    exchange, stream = driven.begin()
    feed = Feed(clock=driven.clock)
    follow = exchange.follow(feed.follower(), driven.now)
    feed.publish(bytes(50_000))
    driven.turn()
    assert len(stream.body) == 20_000
    feed.close()
    exchange.close(driven.now, trailers={"x-end": "1"})
    for _ in range(2):
        driven.client.h2.increment_flow_control_window(20_000, stream_id=1)
        driven.turn()
    assert (len(stream.body), stream.complete, stream.trailers) == (50_000, True, [("x-end", "1")])
    assert follow.settled


@ENGINES
def test_what_is_given_up_twice_is_given_up_once(engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    _, stream = driven.request("/", "POST", headers=(("content-length", "10"),), body=None)
    number = max(driven.client.streams)
    driven.client.h2.send_data(number, b"hello")
    driven.turn()
    [holding] = driven.connection.holdings()
    assert holding.size == 5
    for _ in range(2):
        holding.give_up(driven.now, FULL)
    driven.turn()
    assert stream.status == 503
    assert driven.refused == [503]
    exchange, other = driven.begin()
    exchange.write(b"x" * 1000, driven.now)
    [holding] = driven.connection.holdings()
    assert holding.size == 1000
    holding.give_up(driven.now, FULL)
    driven.turn()
    assert driven.outcomes == ["reset"]
    assert other.reset is not None


def test_a_frame_that_does_not_come_to_its_end_is_given_up_with_all_exchanges() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    driven.receive(PART)
    holdings = driven.connection.holdings()
    assert sum(one.size for one in holdings) >= len(PART) - 9
    for holding in holdings:
        holding.give_up(driven.now, FULL)
    driven.advance(0)
    assert exchange.is_over
    assert not any(isinstance(event, RequestRefused) for event in driven.events)


def test_of_a_tunnel_what_came_early_is_held_and_handed_over() -> None:
    socket = Socket2()
    stream = socket.ask()
    for data in (frame(TEXT, b"early"), close(4000, b"enough")):
        socket.client.h2.send_data(socket.number, data)
        socket.turn()
    assert sum(one.size for one in socket.connection.holdings()) == 11 + len(close(4000, b"enough"))
    socket.ws = WebSocket(socket.exchange, socket.now)
    socket.turn()
    assert socket.ws.take(socket.now) == "early"
    assert (socket.ws.close_code, stream.status) == (4000, 200)


@ENGINES
def test_a_request_on_its_way_says_for_whom_it_was_forwarded_and_that_the_server_drains(engine: str) -> None:
    driven = Driven2(http2_engine=engine, trusted_proxies="127.0.0.1")
    driven.connection.drain(driven.now)
    driven.client.request("/", headers=(("x-forwarded-for", "192.0.2.7"),))
    driven.receive(driven.client.take())
    assert driven.exchange.draining
    assert driven.connection.statistics().idle_since is None
    assert driven.exchange.request.headers["x-forwarded-for"] == "192.0.2.7"
    driven.exchange.answer(200, None, b"hello", driven.now)
    driven.turn()
    driven.advance(1)
    driven.turn()
    assert driven.client.goaway is not None


@ENGINES
def test_a_long_head_goes_in_several_frames(engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    exchange, stream = driven.begin()
    headers = {f"x-{number}": "v" * 1000 for number in range(40)}
    exchange.answer(200, headers, b"hello", driven.now)
    driven.turn()
    assert {name: stream.headers[name] for name in headers} == headers
    assert bytes(stream.body) == b"hello"


@pytest.mark.parametrize("at_once", [1, 20])
def test_padding_is_credit_as_well_however_many_requests_there_are(at_once: int) -> None:
    """The window of the connection would be used up by a third of these."""
    driven = Driven2()

    def send(wire: bytes) -> int:
        driven.wire += wire
        return len(wire)

    for _ in range(600 // at_once):
        for _ in range(at_once):
            number = driven.client.request("/", "POST", body=None)
            driven.client.h2.send_data(number, b"x", end_stream=True, pad_length=255)
        begun = len(driven.exchanges)
        driven.receive(driven.client.take())
        driven.push()
        for exchange in driven.exchanges[begun:]:
            exchange.answer(200, None, exchange.request.body, driven.now, send)
        driven.turn()
        driven.push()
    assert len(driven.exchanges) == 600
    assert all(stream.complete for stream in driven.client.streams.values())


@ENGINES
def test_who_does_not_read_gets_few_hints(engine: str) -> None:
    driven = Driven2(http2_engine=engine)
    exchange, stream = driven.begin()
    for number in range(3000):
        exchange.write_informational(103, {"link": "</x>"}, driven.now)
        if number % 100 == 0:
            driven.push(1)
    driven.turn()
    assert 0 < len(stream.interim) < 3000


def test_a_connection_that_has_more_to_read_is_not_idle() -> None:
    driven = Driven2(max_control_rate=100_000)
    assert driven.connection.statistics().idle_since is not None
    ignored = b"\0\0\x05\x02\0\0\0\0\x01" + bytes(4) + b"\x10"
    driven.connection.receive_data(ignored * 5000, driven.now)
    assert not driven.connection.wants_read
    assert driven.connection.statistics().idle_since is None
    while not driven.connection.wants_read:
        driven.advance(0)
    assert driven.connection.statistics().idle_since is not None


def test_a_priority_that_is_none_changes_nothing() -> None:
    driven = Driven2(http2_engine="reference")
    driven.receive(b"\0\0\x03\x10\0\0\0\0\0abc")
    exchange, stream = driven.begin()
    exchange.answer(200, None, b"hello", driven.now)
    driven.turn()
    assert bytes(stream.body) == b"hello"


def test_other_languages_get_the_fields_as_lines() -> None:
    exchange, _ = Driven2().begin("/a?b", headers=(("x-one", "1"), ("x-two", "2")))
    values = exchange.request.plain_values()
    assert values[2:6] == (b"GET", b"/a?b", b"b", exchange.request.host.encode())
    lines = values[1]
    assert isinstance(lines, bytes)
    assert lines.endswith(b"x-one: 1\r\nx-two: 2\r\n")


def test_an_answer_whose_client_leaves_before_it_is_offered_is_not_sent() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.answer(200, None, b"hello", driven.now)
    driven.connection.prepare()
    driven.client.h2.reset_stream(1)
    driven.receive(driven.client.take())
    assert driven.connection.data_to_send(driven.now, None) == []
    assert driven.outcomes == ["cancelled"]


def test_what_comes_behind_the_last_of_a_connection_that_drains_is_nothing() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    driven.connection.drain(driven.now)
    driven.turn()
    assert driven.client.goaway is not None
    reset = b"\0\0\4\3\0\0\0\0\1" + (8).to_bytes(4)
    priority = b"\0\0\7\x10\0\0\0\0\0" + (1).to_bytes(4) + b"u=1"
    driven.receive(reset + priority)
    assert exchange.is_over
    assert driven.outcomes == ["cancelled"]
    assert not driven.connection.wants_write


def test_what_is_looked_at_before_it_begins_may_be_like_another() -> None:
    admission = Admission()
    admission.full = lambda has_body: None
    driven = Driven2(host=Host(lambda: None, admission=admission))
    paths = ["/a", "/b", "/c", "/b", "/d"]
    for number, path in enumerate(paths):
        # GET, https, the path as it is, and the host likewise.
        block = b"\x82\x87\x04\x02" + path.encode() + b"\x01\x04test"
        driven.receive(b"\0\0" + bytes([len(block)]) + b"\x01\x05" + (2 * number + 1).to_bytes(4) + block)
    requests = [exchange.request for exchange in driven.exchanges]
    assert [request.path for request in requests] == paths
    assert {(request.method, request.host) for request in requests} == {("GET", "test")}


def http2_frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream_id.to_bytes(4) + payload


def test_a_body_that_is_reset_in_the_bytes_that_it_came_in_is_of_no_use() -> None:
    driven = Driven2()
    # POST, https, / and a host.
    head = http2_frame(1, 4, 1, b"\x83\x87\x84\x01\x04test")
    driven.receive(head + http2_frame(0, 0, 1, b"x" * 16_384) * 3 + http2_frame(3, 0, 1, (8).to_bytes(4)))
    assert driven.exchanges == []
    driven.push()
    driven.receive(http2_frame(1, 5, 3, b"\x82\x87\x84\x01\x04test"))
    assert driven.exchange.request.method == "GET"
    assert driven.refused == []


@pytest.mark.parametrize("ahead", [99, 100])
def test_so_many_priorities_are_kept_ahead_of_their_requests(ahead: int) -> None:
    driven = Driven2()
    driven.client.give(1 << 20)
    for number in range(ahead):
        driven.receive(http2_frame(0x10, 0, 0, (2 * number + 1001).to_bytes(4) + b"u=7"))
    driven.receive(http2_frame(0x10, 0, 0, (3).to_bytes(4) + b"u=0"))
    begun = [driven.begin() for _ in range(2)]
    for exchange, _ in begun:
        exchange.answer(200, None, b"x" * 40_000, driven.now)
    driven.push(20_000)
    assert [bool(stream.body) for _, stream in begun] == [ahead == 100, ahead < 100]


def test_whoever_has_said_goodbye_is_not_asked_for_more_when_the_server_drains() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    driven.receive(http2_frame(7, 0, 0, bytes(8)))
    driven.push()
    begin = len(driven.wire)
    driven.connection.drain(driven.now)
    assert not driven.connection.wants_write
    exchange.answer(200, None, b"hello", driven.now)
    driven.turn()
    assert stream.complete
    assert bytes([7, 0, 0, 0, 0, 0]) not in driven.wire[begin:]
    assert driven.connection.half_close_expected()
