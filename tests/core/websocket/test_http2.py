"""WebSockets on HTTP/2 (RFC 8441): a stream is the connection, and credit is the backpressure."""

from math import inf

import pytest
from tests.core.driving2 import Driven2
from tests.core.websocket.speaking import PING, PONG, TEXT, close, frame, frames, messages

from httpng_core import Feed, HandshakeError
from httpng_core.testing import ReceivedStream
from httpng_core.websocket import WebSocket


class Socket2(Driven2):
    """A client of HTTP/2 with one WebSocket."""

    def ask(self, protocol: str = "websocket", version: str = "13") -> ReceivedStream:
        self.number = self.client.h2.get_next_available_stream_id()
        pseudo = ((":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"))
        where = ((":path", "/chat?x=1"), (":authority", "example.org"))
        self.client.send_fields(self.number, (*pseudo, *where, ("sec-websocket-version", version)), None)
        self.turn()
        return self.client.streams[self.number]

    def accept(self) -> ReceivedStream:
        stream = self.ask()
        self.ws = WebSocket(self.exchange, self.now)
        self.turn()
        return stream

    def say(self, data: bytes, *, end: bool = False) -> None:
        self.client.h2.send_data(self.number, data, end_stream=end)
        self.turn()


def test_it_is_announced() -> None:
    assert Socket2().client.h2.remote_settings.enable_connect_protocol == 1


def test_a_server_that_accepts_none_does_not_announce_it() -> None:
    socket = Socket2(ws="none")
    assert not socket.client.h2.remote_settings.enable_connect_protocol
    assert socket.ask().reset is not None
    assert socket.exchanges == []


def test_it_is_accepted_with_200_and_no_key() -> None:
    socket = Socket2()
    stream = socket.accept()
    request = socket.exchange.request
    assert (request.method, request.path, request.is_websocket) == ("CONNECT", "/chat?x=1", True)
    assert (stream.status, stream.headers) == (200, {})


@pytest.mark.parametrize("protocol", ["connect-udp", "webtransport"])
def test_other_protocols_are_not_implemented(protocol: str) -> None:
    socket = Socket2()
    assert socket.ask(protocol).status == 501
    assert socket.exchanges == []


def test_a_handler_may_refuse_it() -> None:
    socket = Socket2()
    stream = socket.ask(version="8")
    with pytest.raises(HandshakeError) as refused:
        WebSocket(socket.exchange, socket.now)
    socket.exchange.answer(refused.value.status, refused.value.headers, b"no", socket.now)
    socket.turn()
    assert (stream.status, stream.headers["sec-websocket-version"], stream.complete) == (426, "13", True)
    # What the client says by then is dropped, and the connection goes on.
    assert socket.client.goaway is None
    assert socket.request("/other")[0]
    assert len(socket.exchanges) == 2


def test_messages_go_both_ways() -> None:
    socket = Socket2()
    stream = socket.accept()
    socket.say(frame(TEXT, b"hello") + frame(9, b"p"))
    assert socket.ws.take(socket.now) == "hello"
    assert socket.ws.send("world", socket.now).result is None
    socket.turn()
    assert frames(bytes(stream.body)) == [(0x80 | PONG, b"p"), (0x80 | TEXT, b"world")]


def test_what_comes_before_it_is_accepted_is_not_lost() -> None:
    socket = Socket2()
    socket.ask()
    socket.say(frame(TEXT, b"early"))
    socket.say(close(1000), end=True)
    ws = WebSocket(socket.exchange, socket.now)
    assert ws.take(socket.now) == "early"
    socket.turn()
    assert ws.close_code == 1000
    assert socket.outcomes == ["complete"]


@pytest.mark.parametrize("by_server", [True, False])
@pytest.mark.parametrize("ends", [True, False])
def test_a_closing_handshake_ends_the_stream_alone(by_server: bool, ends: bool) -> None:
    socket = Socket2()
    stream = socket.accept()
    if by_server:
        socket.ws.close(socket.now, 1001)
        socket.turn()
    socket.say(close(1001), end=ends)
    assert frames(bytes(stream.body)) == [(0x88, b"\x03\xe9")]
    assert stream.complete
    assert socket.outcomes == ["complete"]
    assert socket.client.goaway is None
    # Nothing of it is left: a hundred more fit, however many streams may be open at once.
    for _ in range(150):
        socket.accept()
        socket.say(close(1000), end=ends)
    assert len(socket.outcomes) == 151


def test_a_reset_is_a_client_that_is_gone() -> None:
    socket = Socket2()
    socket.accept()
    pending = socket.ws.send("x" * 100_000, socket.now, window=0)
    socket.client.h2.reset_stream(socket.number, 8)
    socket.turn()
    assert pending.settled
    assert socket.ws.close_code == 1006


def test_an_end_without_a_close_is_a_client_that_is_gone() -> None:
    socket = Socket2()
    socket.accept()
    socket.say(frame(TEXT, b"x"), end=True)
    assert socket.ws.close_code == 1006
    assert socket.ws.take(socket.now) == "x"


def test_credit_is_given_as_messages_are_taken() -> None:
    socket = Socket2(ws_max_queue=2)
    socket.accept()
    room = socket.client.h2.local_flow_control_window(socket.number)
    data = frame(2, bytes(10_000))
    sent = 0
    while room >= len(data):
        socket.say(data)
        sent += 1
        room = socket.client.h2.local_flow_control_window(socket.number)
        assert sent < 20
    assert sent >= 6
    told = 0
    while told < 50:
        while socket.ws.take(socket.now) is not None:
            told += 1
        socket.turn()
        while socket.client.h2.local_flow_control_window(socket.number) >= len(data):
            socket.say(data)
            if len(socket.ws.inbox.messages) == 2 and sent - told > 10:
                break
            sent += 1
    assert told >= 50


def test_a_long_message_is_never_torn_by_narrow_windows() -> None:
    socket = Socket2(1000, reads=False)
    stream = socket.accept()
    sent = socket.ws.send("a" * 5000, socket.now, 1.0, window=100)
    socket.turn()
    assert len(stream.body) == 1000
    socket.clock.now += 1.0
    socket.connection.handle_timeout(socket.now)
    ended = sent.result
    assert ended is not None
    assert ended.body_bytes_sent == 5000
    assert socket.ws.send("b", socket.now, 0, window=100).settled is False
    socket.client.give(100_000, socket.number)
    socket.turn()
    assert messages(bytes(stream.body)) == ["a" * 5000, "b"]


def test_a_drain_says_that_the_server_restarts() -> None:
    socket = Socket2()
    stream = socket.accept()
    socket.connection.drain(socket.now)
    socket.turn()
    assert frames(bytes(stream.body)) == [(0x88, b"\x03\xf4")]
    socket.say(close(1001), end=True)
    assert socket.outcomes == ["complete"]


def test_one_that_is_accepted_in_a_drain_is_told_at_once() -> None:
    socket = Socket2()
    stream = socket.ask()
    socket.connection.drain(socket.now)
    socket.ws = WebSocket(socket.exchange, socket.now)
    socket.turn()
    assert frames(bytes(stream.body)) == [(0x88, b"\x03\xf4")]


@pytest.mark.parametrize(("window", "fit"), [(14, 2), (15, 3), (20, 4)])
def test_the_window_of_a_follow_counts_bytes_of_messages(window: int, fit: int) -> None:
    socket = Socket2(tells_acknowledged=True)
    stream = socket.accept()
    feed = Feed(clock=socket.clock)
    socket.ws.follow(feed.follower(), socket.now, None, window, "acked")
    for number in range(5):
        feed.publish(f"tick{number}", key=number)
        socket.turn()
    assert messages(bytes(stream.body)) == [f"tick{number}" for number in range(fit)]
    for _ in range(2):
        socket.connection.bytes_acknowledged(socket.connection.accepted, socket.now)
        socket.turn()
    assert messages(bytes(stream.body)) == [f"tick{number}" for number in range(5)]


def test_a_ping_is_answered_while_the_handler_does_nothing() -> None:
    socket = Socket2(ws_ping_interval=inf)
    stream = socket.accept()
    socket.say(frame(PING, b"there?"))
    assert frames(bytes(stream.body)) == [(0x80 | PONG, b"there?")]


def test_a_client_that_says_nothing_is_asked_while_the_handler_does_nothing() -> None:
    socket = Socket2(ws_ping_interval=3)
    stream = socket.accept()
    socket.clock.now += 3
    socket.connection.handle_timeout(socket.now)
    socket.turn()
    assert [first & 0xF for first, _ in frames(bytes(stream.body))] == [PING]
