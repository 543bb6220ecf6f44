"""What `httpng_core.testing` gives to those who test handlers: a scripted kernel, a clock, a client."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from httpng_core import Application, GeneratorIO, Request, Response, body_bytes_sent
from httpng_core.testing import Clock, Loopback, decode
from httpng_lua import LuaApplication

Steps = Generator[Any, Any, Any]


def twenty(req: Request, io: GeneratorIO) -> Steps:
    for _ in range(20):
        yield io.write(b"x" * 10)
    return None


def test_a_clock_stands_still_until_it_is_advanced() -> None:
    clock = Clock(5.0)
    assert clock() == clock() == 5.0
    clock.now += 1
    assert clock() == 6.0


def test_a_client_gets_its_answer_at_once() -> None:
    client = Loopback(lambda req: "hello").connect()
    client.get()
    (response,) = client.responses()
    assert (response.status, response.body, response.complete) == (200, b"hello", True)
    assert client.take() == bytes(client.received)
    assert client.take() == b""


def test_the_kernel_takes_as_many_bytes_as_it_has_room_for() -> None:
    client = Loopback(lambda req: "hello").connect(room=10)
    client.get()
    assert bytes(client.received) == b"HTTP/1.1 2"
    client.give_room(5)
    assert len(client.received) == 15
    client.give_room(0)
    assert len(client.received) == 15
    client.give_room()
    assert client.responses()[0].complete


def test_a_writer_is_not_drawn_from_without_room() -> None:
    loop = Loopback(twenty, default_send_window=5)
    loop.connect(room=0).get()
    assert loop.exchanges[0].stats(loop.clock()).current == 0


def test_time_passes_deadline_by_deadline() -> None:
    told: list[tuple[float, int]] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.write("1234567890")
        for timeout in (1, 0.5, 0):
            result = yield io.write("more", timeout)
            told.append((loop.clock(), body_bytes_sent(result)))
        io.close()

    loop = Loopback(handler, default_send_window=10)
    loop.connect(room=0).get()
    loop.advance(10)
    assert told == [(1001.0, 0), (1001.5, 0), (1001.5, 0)]
    assert loop.clock() == 1010.0


def test_clients_may_leave_in_every_way() -> None:
    loop = Loopback(twenty, default_send_window=20)
    fin, reset = loop.connect(room=0), loop.connect(room=0)
    for client, leaves in ((fin, fin.half_close), (reset, reset.reset)):
        client.get()
        leaves()
        assert client.gone
        client.get()
        client.give_room()
        assert client.received == b""
    assert len(loop.exchanges) == 2
    assert all(exchange.is_over for exchange in loop.exchanges)


def counting_on_acked(req: Request, io: GeneratorIO) -> Steps:
    io.window_until = "acked"
    yield io.write(b"x" * 10)
    yield io.wait(10)
    io.close()
    return None


def test_a_client_may_acknowledge_by_itself_or_when_it_is_told_to() -> None:
    loop = Loopback(counting_on_acked)
    by_itself = loop.connect()
    by_itself.get()
    assert by_itself.responses()[0].complete
    told = loop.connect()
    told.acknowledges = False
    told.get()
    assert not told.responses()[0].complete
    told.acknowledge(5)
    assert not told.responses()[0].complete
    told.acknowledge()
    assert told.responses()[0].complete


def test_a_connection_that_the_server_closes_is_closed() -> None:
    loop = Loopback(lambda req: "bye")
    client = loop.connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.closed
    assert not client.gone
    assert client.responses()[0].body == b"bye"
    idle = loop.connect()
    loop.advance(10)
    assert idle.closed
    assert not idle.gone


def test_a_timeout_of_the_connection_is_answered_without_another_event() -> None:
    loop = Loopback(lambda req: "")
    client = loop.connect()
    client.send(b"GET")
    loop.advance(10)
    assert client.responses()[0].status == 408
    assert client.closed


def test_a_broken_response_does_not_pass_for_a_whole_one() -> None:
    loop = Loopback(twenty)
    client = loop.connect(room=100)
    client.get()
    (response,) = client.responses()
    assert not response.complete
    loop.exchanges[0].reset(loop.clock())
    loop.settle()
    assert client.gone
    with pytest.raises(Exception, match="peer closed connection"):
        client.responses()


def test_an_application_and_its_clock_may_be_brought() -> None:
    clock = Clock(7.0)
    loop = Loopback(Application(lambda req: "mine"), clock=clock)
    assert loop.clock is clock
    client = loop.connect()
    client.get()
    assert client.responses()[0].body == b"mine"


def test_a_handler_that_never_rests_is_an_error() -> None:
    def restless(req: Request, io: GeneratorIO) -> Steps:
        while True:
            yield io.write("")

    loop = Loopback(restless)
    loop.max_turns = 100
    with pytest.raises(AssertionError, match="did not come to rest in 100 turns"):
        loop.connect().get()


# Decoding ---------------------------------------------------------------------------------------------

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"


def test_responses_are_decoded_as_far_as_they_go() -> None:
    assert decode(b"", ("GET",)) == []
    assert decode(WHOLE[:20], ("GET",), closed=False) == []
    half, whole = decode(WHOLE + WHOLE[:-1], ("GET", "GET"), closed=False), decode(WHOLE, ("GET",))
    assert [(one.body, one.complete) for one in half] == [(b"abc", True), (b"ab", False)]
    assert [(one.status, one.headers, one.body) for one in whole] == [(200, {"content-length": "3"}, b"abc")]


def test_the_close_ends_a_body_that_nothing_else_ends() -> None:
    wire = b"HTTP/1.1 200 OK\r\n\r\nabc"
    (still_open,) = decode(wire, ("GET",), closed=False)
    (closed,) = decode(wire, ("GET",))
    assert (still_open.complete, closed.complete) == (False, True)
    assert closed.body == b"abc"


def test_a_close_before_the_end_is_an_error() -> None:
    for wire in (WHOLE[:-1], WHOLE[:20]):
        with pytest.raises(Exception, match=r"closed connection|connection state"):
            decode(wire, ("GET",))


def test_interim_responses_are_passed_over() -> None:
    (response,) = decode(b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, ("POST",))
    assert response.status == 200


# Requests with headers and a body, and what comes back ------------------------------------------------


def mirror(req: Request) -> Response:
    pairs = [("x-seen", f"{name.decode()}: {value.decode()}") for name, value in req.headers.raw]
    return Response(headers=[*pairs, ("set-cookie", "a=1"), ("set-cookie", "b=2")], body=req.body)


def test_a_request_has_the_headers_and_the_body_that_it_is_given() -> None:
    client = Loopback(mirror).connect()
    client.get("/", "POST", headers={"X-One": "1"}, body="h\xe9")
    client.get("/", "PUT", headers=[("X-One", "1"), ("X-One", "2"), ("Host", "other")], body=b"abc")
    client.get()
    first, second, third = client.responses("POST", "PUT", "GET")
    assert (first.body, second.body, third.body) == ("h\xe9".encode(), b"abc", b"")
    seen = [[value for name, value in one.fields if name == "x-seen"] for one in (first, second, third)]
    assert seen == [
        ["host: test", "x-one: 1", "content-length: 3"],
        ["x-one: 1", "x-one: 2", "host: other", "content-length: 3"],
        ["host: test"],
    ]


def test_a_body_may_be_framed_by_the_test() -> None:
    client = Loopback(mirror).connect()
    client.get("/", "POST", headers={"Transfer-Encoding": "chunked"}, body=b"3\r\nabc\r\n0\r\n\r\n")
    (response,) = client.responses("POST")
    assert response.body == b"abc"


def test_headers_and_body_over_http2() -> None:
    response = Loopback(mirror).connect_http2().request("/", "POST", headers={"X-One": "1"}, body=b"abc")
    assert ("x-seen", "x-one: 1") in response.fields
    assert bytes(response.body) == b"abc"


def test_repeated_headers_of_a_response_are_all_there() -> None:
    loop = Loopback(mirror)
    client = loop.connect()
    client.get()
    (response,) = client.responses()
    for one in (response, loop.connect_http2().request()):
        assert [value for name, value in one.fields if name == "set-cookie"] == ["a=1", "b=2"]
        assert one.headers["set-cookie"] == "b=2"


# The error of a handler -------------------------------------------------------------------------------


def plain(req: Request) -> None:
    raise KeyError("mine")


def steps(req: Request, io: GeneratorIO) -> Steps:
    yield io.write(b"begun")
    raise KeyError("mine")


async def awaited(req: Request, io: Any) -> None:
    await io.write(b"begun")
    raise KeyError("mine")


@pytest.mark.parametrize("handler", [plain, steps, awaited])
def test_a_loopback_can_raise_what_a_handler_raised(handler: Any) -> None:
    loop = Loopback(handler, raises=True)
    client = loop.connect()
    with pytest.raises(KeyError, match="mine"):
        client.get()
    with pytest.raises(KeyError, match="mine"):
        loop.connect_http2().request()
    assert client.received
    # Once.
    loop.advance(1)


def test_a_loopback_can_raise_what_is_wrong_with_a_returned_response() -> None:
    with pytest.raises(TypeError, match="a handler must return None, a body, a dict or a Response, not int"):
        Loopback(lambda req: 5, raises=True).connect().get()


def test_a_loopback_can_raise_an_error_in_lua(tmp_path: Path) -> None:
    script = tmp_path / "script.lua"
    script.write_text("require 'httpng'.cfg{handler = function() error('mine') end}")
    clock = Clock()
    loop = Loopback(LuaApplication(script, clock=clock), clock=clock, raises=True)
    with pytest.raises(RuntimeError, match="mine"):
        loop.connect().get()


def test_a_loopback_answers_with_500_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    client = Loopback(plain).connect()
    client.get()
    assert [one.status for one in client.responses()] == [500]
    assert "KeyError: 'mine'" in caplog.text
