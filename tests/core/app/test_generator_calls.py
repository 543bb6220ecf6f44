"""What a generator handler yields beside writes: its WebSocket, the body it reads, early hints, its end."""

from collections.abc import Generator
from typing import Any

import pytest
from tests.core.websocket.speaking import BINARY, TEXT, close, frame, frames, messages, request

from httpng_core import (
    Application,
    Feed,
    GeneratorIO,
    GeneratorWebSocket,
    Request,
    ResponseStateError,
    Router,
)
from httpng_core.testing import Client, Clock, Loopback, ReceivedResponse

Steps = Generator[Any, Any, Any]
UPLOAD = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


def speak(handler: Any, *said: bytes, **cfg: Any) -> tuple[Loopback, Client]:
    """The client has asked for a WebSocket, and said something."""
    loop = Loopback(handler, raises=True, **cfg)
    client = loop.connect()
    client.send(request(sec_websocket_protocol="chat"))
    for one in said:
        client.send(one)
    return loop, client


def said_to(client: Client) -> bytes:
    return bytes(client.received).partition(b"\r\n\r\n")[2]


def whole(handler: Any, wire: bytes = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", **cfg: Any) -> ReceivedResponse:
    client = Loopback(handler, raises=True, **cfg).connect()
    client.send(wire)
    (response,) = client.responses()
    return response


# WebSockets -------------------------------------------------------------------------------------------


def test_a_websocket_is_received_from_and_sent_to() -> None:
    seen: list[object] = []

    def echo(req: Request, io: GeneratorIO) -> Steps:
        ws = io.accept_websocket(subprotocol="chat")
        while (message := (yield ws.receive())) is not None:
            yield ws.send(message)
        seen.append((ws.subprotocol, ws.close_code, ws.close_reason, ws.get_send_stats().current))

    _, client = speak(echo, frame(TEXT, b"hello") + frame(BINARY, b"\x00"), close(3001, b"bye"))
    assert b"sec-websocket-protocol: chat" in client.received.lower()
    assert messages(said_to(client)) == ["hello", b"\x00"]
    assert seen == [("chat", 3001, "bye", 6)]


def test_a_websocket_is_waited_for_and_closed() -> None:
    ended: list[int | None] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        ws = io.accept_websocket()
        yield ws.send("hello")
        assert (yield ws.wait(5, 1, "sent")) is not None
        yield ws.close(4000, "enough")
        ended.append(ws.close_code)

    loop, client = speak(handler)
    assert frames(said_to(client))[-1] == (0x88, b"\x0f\xa0enough")
    assert ended == []
    client.send(close(4000))
    assert ended == [4000]
    assert loop.exchanges[0].is_over


def test_a_websocket_follows_a_feed() -> None:
    feed, sockets = Feed(clock=Clock()), list[GeneratorWebSocket]()

    def handler(req: Request, io: GeneratorIO) -> Steps:
        ws = io.accept_websocket()
        sockets.append(ws)
        assert ws.get_follow_stats() is None
        with pytest.raises(TypeError, match="needs a Feed"):
            ws.follow(5)  # type: ignore[arg-type]
        with pytest.raises(ResponseStateError, match="use its follow"):
            io.follow(feed)
        yield ws.follow(feed, binary=True)

    loop, client = speak(handler)
    feed.publish(b"tick")
    loop.settle()
    assert messages(said_to(client)) == [b"tick"]
    stats = sockets[0].get_follow_stats()
    assert stats is not None
    assert stats.delivered == 1
    sockets[0].abort()
    loop.settle()
    assert loop.exchanges[0].is_over


def test_a_websocket_has_the_fields_it_has() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        io.send_window = 7
        ws = io.accept_websocket()
        assert ws.send_window == 7
        ws.send_window = 1000
        with pytest.raises(AttributeError, match="no field send_windw; the nearest known one is send_window"):
            ws.send_windw = 5
        yield ws.send("x")

    _, client = speak(handler)
    assert messages(said_to(client)) == ["x"]


# Bodies -----------------------------------------------------------------------------------------------


def reading(req: Request, io: GeneratorIO) -> Steps:
    pieces = []
    while piece := (yield req.read(4)):
        pieces.append(piece)
    return repr((b"|".join(pieces).decode(), dict(req.trailers), req.is_streamed))


WHOLE, STREAMED = b"('hell|owor|ld', {}, False)", b"('hell|owor|ld', {}, True)"


@pytest.mark.parametrize(("site", "default", "told"), [(True, False, STREAMED), (False, True, WHOLE)])
def test_a_site_says_whether_bodies_are_streamed(site: bool, default: bool, told: bytes) -> None:
    sites = [{"path": "/up", "handler": reading, "stream_body": site}, {"path": "/", "handler": reading}]
    app = Application(sites=sites, stream_bodies=default)
    for path, expected in ((b"/up", told), (b"/", STREAMED if default else WHOLE)):
        assert whole(app, UPLOAD % path + b"helloworld").body == expected


def test_a_route_says_whether_bodies_are_streamed() -> None:
    router = Router()
    router.route("/up", reading, stream_body=True)
    router.route("/whole", reading)
    assert whole(router, UPLOAD % b"/up" + b"helloworld").body == STREAMED
    assert whole(router, UPLOAD % b"/whole" + b"helloworld").body == WHOLE
    assert whole(router, UPLOAD % b"/none" + b"helloworld").status == 404
    assert [type(handler).__name__ for handler in router.handlers] == ["StreamChoice", "GeneratorHandler"]


def test_trailers_of_a_streamed_body() -> None:
    wire = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 5\r\n\r\n"
    assert whole(reading, wire, stream_bodies=True).body == b"('hi', {'x-sum': '5'}, True)"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_a_mistake(limit: int) -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        with pytest.raises(ValueError, match=f"limit is {limit}, must be at least 1"):
            req.read(limit)
        yield io.write(b"ok")

    assert whole(handler, UPLOAD % b"/" + b"helloworld").body == b"ok"


# The response -----------------------------------------------------------------------------------------


def test_early_hints_and_trailers() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        io.write_informational(103, {"link": "</a.css>; rel=preload"})
        yield io.write("body")
        assert io.get_send_stats().current == 4
        assert not io.draining
        io.close({"x-sum": "5"})

    client = Loopback(handler, raises=True).connect()
    client.send(b"GET / HTTP/1.1\r\nhost: x\r\nte: trailers\r\n\r\n")
    wire = bytes(client.received)
    assert wire.startswith(b"HTTP/1.1 103 ")
    assert wire.endswith(b"0\r\nx-sum: 5\r\n\r\n")


def test_the_pace_of_a_websockets_follow_is_changed() -> None:
    feed, sockets = Feed(clock=Clock()), list[GeneratorWebSocket]()

    def handler(req: Request, io: GeneratorIO) -> Steps:
        ws = io.accept_websocket()
        ws.set_follow_pace(max_rate=1)
        sockets.append(ws)
        yield ws.follow(feed)

    loop, client = speak(handler)
    sockets[0].set_follow_pace(max_rate=0.5)
    for tick in ("1", "2", "3"):
        feed.publish(tick, key="k")
        loop.settle()
    assert messages(said_to(client)) == ["1"]
    with pytest.raises(ValueError, match="max_rate"):
        sockets[0].set_follow_pace(max_rate=-1)
    sockets[0].set_follow_pace(max_rate=None)
    loop.settle()
    assert messages(said_to(client)) == ["1", "3"]
