"""Handlers by kind: how each is recognised, run, ended, and kept from hurting the others."""

import functools
import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.core.driving import GET, Driven

from httpng_core import (
    CALLS_PER_TURN,
    COMPILED,
    SECONDS_PER_TURN,
    Address,
    Application,
    AsgiHandler,
    BodyError,
    ConfigError,
    Exchange,
    GeneratorIO,
    Pending,
    Request,
    Response,
    Router,
    Runner,
    SendResult,
    as_application,
    as_response,
    body_bytes_sent,
    check_awaited,
    give_answers,
)
from httpng_core.app import AsyncHandler, FunctionHandler, GeneratorHandler, as_handler
from httpng_core.languages import StateLock, Turn
from httpng_core.testing import Clock, Loopback, ReceivedResponse

Steps = Generator[Any, Any, Any]
SUBSTITUTE = b"Path handler execution error"


def ask(handler: Any, method: str = "GET", **cfg: Any) -> ReceivedResponse:
    """What a client gets from a handler that ends by itself."""
    loop = Loopback(handler, **cfg)
    client = loop.connect()
    client.get(method=method)
    (response,) = client.responses(method)
    assert response.complete
    return response


# Kinds ------------------------------------------------------------------------------------------------


def function(req: Request) -> bytes:
    return b"function"


def generator(req: Request, io: GeneratorIO) -> Steps:
    yield io.write("generator")


async def coroutine(req: Request, io: Any) -> None: ...


class Functions:
    def __call__(self, req: Request) -> bytes:
        return b"call"

    def generator(self, req: Request, io: GeneratorIO) -> Steps:
        yield io.write("method")

    async def coroutine(self, req: Request, io: Any) -> None: ...


class Generators:
    def __call__(self, req: Request, io: GeneratorIO) -> Steps:
        yield io.write("call")


class Coroutines:
    async def __call__(self, req: Request, io: Any) -> None: ...


def with_more(more: int, req: Request, io: GeneratorIO) -> Steps:
    yield io.write(b"x" * more)


async def async_with_more(more: int, req: Request, io: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (function, FunctionHandler),
        (lambda req: b"", FunctionHandler),
        (Functions(), FunctionHandler),
        (generator, GeneratorHandler),
        (Functions().generator, GeneratorHandler),
        (Generators(), GeneratorHandler),
        (functools.partial(with_more, 5), GeneratorHandler),
        (coroutine, AsyncHandler),
        (Functions().coroutine, AsyncHandler),
        (Coroutines(), AsyncHandler),
        (functools.partial(async_with_more, 5), AsyncHandler),
        (lambda req, io: coroutine(req, io), AsyncHandler),
    ],
)
def test_a_handler_is_recognised_by_its_form(handler: Any, kind: type) -> None:
    assert isinstance(as_handler(handler), kind)


def test_what_knows_how_to_start_is_a_handler_already() -> None:
    class Own:
        def start(self, exchange: Exchange, runner: Runner) -> None:
            exchange.respond(Response(body="own"), runner.clock())

    own = Own()
    assert as_handler(own) is own
    assert ask(own).body == b"own"


@pytest.mark.parametrize("handler", [None, 5, "name", b"", object()])
def test_what_cannot_be_called_is_no_handler(handler: Any) -> None:
    with pytest.raises(TypeError, match="handler is not a function"):
        as_handler(handler)


async def async_of_nothing() -> None: ...


async def async_generator(req: Request, io: GeneratorIO) -> Any:
    yield io.write(b"never")


async def async_of_one(req: Request) -> bytes:
    return b""


def generator_of_one(req: Request) -> Steps:
    yield b""
    return None


async def async_of_four(req: Request, io: Any, more: int, most: int) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        lambda: b"",
        lambda a, b, c: b"",
        functools.partial(max, 1),
        min,
    ],
)
def test_a_handler_takes_one_or_two_arguments(handler: Any) -> None:
    with pytest.raises(TypeError, match=r"must take \(req, io\), or \(req\) to return a response"):
        as_handler(handler)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (async_of_nothing, "async_of_nothing is async: it must take (req, io)"),
        (async_of_one, "async_of_one is async: it must take (req, io)"),
        (async_of_four, "async_of_four is async: it must take (req, io)"),
        (generator_of_one, "generator_of_one has a yield: it must take (req, io)"),
        (async_generator, "async_generator is async and has a yield: it must await the calls of io"),
    ],
)
def test_what_waits_takes_two_arguments(handler: Any, told: str) -> None:
    with pytest.raises(TypeError) as raised:
        as_handler(handler)
    assert str(raised.value) == f"handler {told}"


# Plain functions --------------------------------------------------------------------------------------


def test_a_function_returns_its_response() -> None:
    response = ask(function)
    assert (response.status, response.body, response.headers) == (200, b"function", {"content-length": "8"})


def test_a_function_sees_the_request() -> None:
    loop = Loopback(lambda req: f"{req.method} {req.path} {req.body.decode()} {req.peer.host}")
    client = loop.connect()
    client.send(b"POST /a?b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
    assert client.responses("POST")[0].body == b"POST /a?b abc 192.0.2.1"


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        (None, 200, b""),
        ("é", 200, b"\xc3\xa9"),
        (b"abc", 200, b"abc"),
        ({}, 200, b""),
        ({"body": "abc"}, 200, b"abc"),
        ({"status": 404}, 404, b""),
        ({"status": None, "headers": None, "body": None}, 200, b""),
        ({"status": 201, "headers": {"x": "y"}, "body": b"abc"}, 201, b"abc"),
        (Response(), 200, b""),
        (Response(status=404, body="abc"), 404, b"abc"),
    ],
)
def test_what_may_be_returned(returned: Any, status: int, body: bytes) -> None:
    response = ask(lambda req: returned)
    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize(
    "returned",
    [
        5,
        1.5,
        True,
        False,
        [],
        ("a", "b"),
        object(),
        {"code": 200},
        {"status": 200, 5: 6},
        {"status": "200"},
        {"status": 99},
        {"body": 5},
        {"headers": {"a": "\n"}},
        Response(status=100),
        ValueError("returned, not raised"),
        lambda: None,
    ],
)
def test_anything_else_is_500_and_the_server_lives(returned: Any) -> None:
    loop = Loopback(lambda req: returned if req.path == "/bad" else "fine")
    client = loop.connect()
    client.get("/bad")
    client.get("/good")
    assert [(one.status, one.body) for one in client.responses()] == [(500, SUBSTITUTE), (200, b"fine")]


def test_a_function_that_raises_is_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def handler(req: Request) -> bytes:
        raise RuntimeError("of the handler")

    assert ask(handler).status == 500
    (record,) = caplog.records
    assert record.getMessage() == "handler error on GET / of 192.0.2.1 (answered with 500)"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "of the handler" in str(record.exc_info[1])


def test_what_can_not_be_returned_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    ask(lambda req: Response(status=99))
    (record,) = caplog.records
    assert record.getMessage() == (
        "handler error on GET / of 192.0.2.1 (answered with 500): HTTP code 99 is outside 100..599"
    )
    assert record.exc_info is None


def test_what_no_program_should_catch_gets_through() -> None:
    def handler(req: Request) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(handler)


def test_unknown_fields_are_named() -> None:
    with pytest.raises(ValueError, match="a response has status, headers and body, not 5, code"):
        as_response({"code": 1, 5: 2, "status": 200})
    with pytest.raises(TypeError, match="None, a body, a dict or a Response, not int"):
        as_response(5)


def test_io_headers_go_with_a_returned_body_but_not_with_a_dict() -> None:
    assert as_response("abc", {"x": "y"}).headers == {"x": "y"}
    assert as_response({"body": "abc"}, {"x": "y"}).headers is None
    whole = Response(body="abc")
    assert as_response(whole, {"x": "y"}) is whole


# Generators -------------------------------------------------------------------------------------------


def test_a_generator_gets_the_result_of_each_call() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        told.append((yield io.write_header(201, {"x": "y"})))
        told.append((yield io.write(b"abc")))
        told.append((yield io.wait(3)))
        told.append(io.get_send_stats())

    response = ask(handler)
    assert (response.status, response.headers["x"], response.body) == (201, "y", b"abc")
    assert told[:2] == [None, None]
    assert isinstance(told[2], SendResult)
    assert told[2].reached
    assert (told[3].current, told[3].sent, told[3].headers_were_sent) == (3, 3, True)


def test_io_headers_are_used_where_none_are_given() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        io.headers["x"] = ["1", "2"]
        if req.path == "/header":
            yield io.write_header(200)
        elif req.path == "/none":
            yield io.write_header(200, {})
        elif req.path == "/write":
            yield io.write("abc")
        elif req.path == "/close":
            io.close()

    loop = Loopback(handler)
    client = loop.connect()
    for path in ("header", "none", "write", "close", "nothing"):
        client.get(f"/{path}")
    assert [response.headers.get("x") for response in client.responses()] == ["2", None, "2", "2", "2"]


def test_window_and_timeout_of_io_are_read_when_a_call_starts() -> None:
    results: list[SendResult | None] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        io.send_window, io.send_timeout = 10, 2
        call = io.write(b"x" * 20)
        io.send_window, io.send_timeout = None, None
        results.append((yield call))
        results.append((yield io.write(b"y" * 20)))
        results.append((yield io.write(b"z" * 2000, timeout=1)))
        io.close()

    loop = Loopback(handler, default_send_window=30, default_send_timeout=9)
    client = loop.connect(room=0)
    client.get()
    loop.advance(1.9)
    assert results == []
    loop.advance(0.1)
    assert body_bytes_sent(results[0]) == 0
    assert results[1] is None
    loop.advance(1)
    assert body_bytes_sent(results[2]) == 0
    client.give_room()
    assert client.responses()[0].body == b"y" * 20


def test_a_call_that_raises_raises_in_the_generator() -> None:
    caught: list[Exception] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.write_header(200, {"content-length": 5})
        calls: list[tuple[Callable[..., Pending], Any]] = [
            (io.write, 5),
            (io.wait, "x"),
            (io.write, "123456"),
        ]
        for call, argument in calls:
            try:
                yield call(argument)
            except Exception as error:
                caught.append(error)
        yield io.write("12345")

    assert ask(handler).body == b"12345"
    assert [type(error).__name__ for error in caught] == ["TypeError", "TypeError", "ContentLengthError"]


def test_a_call_that_fails_later_raises_in_the_generator() -> None:
    caught: list[Exception] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.write_header(200, {"content-length": 12})
        yield io.write("1234567890")
        late, later = io.write("ab"), io.write("c")
        yield late
        try:
            yield later
        except ValueError as error:
            caught.append(error)

    loop = Loopback(handler, default_send_window=10)
    client = loop.connect(room=60)
    client.get()
    client.give_room()
    assert len(caught) == 1
    assert client.responses()[0].body == b"1234567890ab"


def test_what_a_generator_returns_is_its_response_or_the_end_of_it() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        if req.path == "/begun":
            yield io.write("abc")
        return {"status": 404, "body": "def"}

    loop = Loopback(handler)
    client = loop.connect()
    client.get("/begun")
    client.get("/whole")
    assert [(one.status, one.body) for one in client.responses()] == [(200, b"abcdef"), (404, b"def")]


@pytest.mark.parametrize("yielded", [None, 5, "abc", b"abc", object()])
def test_a_generator_that_yields_what_is_no_call_is_told(yielded: Any) -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        if req.path == "/catches":
            try:
                yield yielded
            except TypeError as error:
                yield io.write(str(error))
        elif req.path == "/good":
            yield io.write("good")
        else:
            yield yielded

    loop = Loopback(handler)
    client = loop.connect()
    for path in ("/bad", "/catches", "/good"):
        client.get(path)
    bad, catches, good = client.responses()
    assert (bad.status, good.body) == (500, b"good")
    assert catches.body.startswith(b"a handler yields its calls of io, not ")


def test_an_error_after_something_was_sent_cuts_it_short() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.write("abc")
        yield io.wait(0)
        raise RuntimeError

    loop = Loopback(handler)
    client = loop.connect()
    client.get()
    assert (client.closed, client.gone) == (True, False)
    assert client.received.endswith(b"\r\n3\r\nabc\r\n"), "and no last chunk"
    assert loop.exchanges[0].stats(loop.clock()).cancelled


def test_an_error_in_one_handler_does_not_hurt_another() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.write("x" * 20)
        if req.path == "/bad":
            raise RuntimeError
        yield io.write("y" * 20)

    loop = Loopback(handler, default_send_window=10)
    good, bad = loop.connect(room=0), loop.connect(room=0)
    good.get("/good")
    bad.get("/bad")
    bad.give_room()
    good.give_room()
    assert bad.received.endswith(b"x" * 20 + b"\r\n"), "and no last chunk"
    assert good.responses()[0].body == b"x" * 20 + b"y" * 20


def test_a_handler_learns_from_its_results_that_the_client_is_gone() -> None:
    told: list[bool] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        while (result := (yield io.write(b"x" * 10))) is None:
            pass
        told.append(result.cancelled)

    loop = Loopback(handler, default_send_window=10)
    client = loop.connect(room=0)
    client.get()
    client.reset()
    assert told == [True]
    assert not loop.runner.is_ready


# Turns ------------------------------------------------------------------------------------------------


def test_a_handler_whose_calls_have_room_lets_others_run_after_64_of_them() -> None:
    order: list[str] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        for _ in range(100):
            order.append(req.path)
            yield io.write("x")

    loop = Loopback(handler)
    runner = loop.runner
    for path in ("/a", "/b"):
        client = loop.connect()
        client.connection.receive_data(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode(), loop.clock.now)
        runner.serve(client.connection)
    while runner.is_ready:
        runner.run()
    assert order == ["/a"] * CALLS_PER_TURN + ["/b"] * CALLS_PER_TURN + ["/a"] * 36 + ["/b"] * 36


def test_or_after_5_milliseconds() -> None:
    calls: list[int] = []
    loop: Loopback

    def handler(req: Request, io: GeneratorIO) -> Steps:
        for number in range(10):
            calls.append(number)
            loop.clock.now += SECONDS_PER_TURN / 2
            yield io.write("x")

    loop = Loopback(handler)
    client = loop.connect()
    client.connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", loop.clock.now)
    loop.runner.serve(client.connection)
    assert len(calls) == 2
    loop.runner.run()
    assert len(calls) == 4


def test_a_turn_lets_others_run() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        assert (yield Turn()) is None
        yield io.write("abc")

    loop = Loopback(handler)
    client = loop.connect()
    client.connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", loop.clock.now)
    loop.runner.serve(client.connection)
    assert loop.runner.is_ready
    assert loop.exchanges == []
    loop.runner.run()
    loop.settle()
    assert client.responses()[0].body == b"abc"


def test_whoever_runs_the_loop_is_told_that_a_handler_can_go_on() -> None:
    ready: list[int] = []
    clock = Clock()
    runner = Application(generator).runner(clock, on_ready=lambda: ready.append(1))
    steps = iter([Turn()])
    runner.spawn((one for one in steps), lambda returned: None)
    assert ready == [1]
    runner.run()
    assert not runner.is_ready


# A runner ---------------------------------------------------------------------------------------------


def test_a_runner_gives_up_what_has_not_ended(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    def handler(req: Request, io: GeneratorIO) -> Steps:
        try:
            yield io.wait(1)
        finally:
            closed.append(req.path)
            if req.path == "/bad":
                raise RuntimeError("in a finally block")
            if req.path == "/stubborn":
                yield io.wait(1)

    loop = Loopback(handler)
    peers = [loop.connect() for _ in range(4)]
    for peer, path in zip(peers, ("/a", "/bad", "/stubborn", "/b"), strict=True):
        peer.get(path)
    for peer in peers:
        peer.connection.abort(loop.clock.now)
    loop.runner.close()
    assert sorted(closed) == ["/a", "/b", "/bad", "/stubborn"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert sorted(record.getMessage() for record in errors) == [
        "handler error on GET /bad of 192.0.2.1 (nothing sent)",
        "handler error on GET /stubborn of 192.0.2.1 (nothing sent)",
    ]
    assert all(record.exc_info for record in errors)
    loop.advance(100)
    assert not loop.runner.is_ready
    loop.runner.close()
    assert len(closed) == 4


def test_a_fiber_that_was_given_up_does_not_go_on() -> None:
    steps: list[int] = []

    def stepping() -> Steps:
        steps.append(1)
        yield Turn()
        steps.append(2)

    runner = Application(function).runner(Clock())
    fiber = runner.spawn(stepping(), lambda returned: None)
    runner.forget(fiber)
    runner.run()
    assert steps == [1]


def test_a_fiber_that_was_given_up_before_its_turn_does_not_begin() -> None:
    steps: list[int] = []

    def stepping() -> Steps:
        steps.append(1)
        yield Turn()

    runner = Application(function).runner(Clock())
    runner.spawn_later(stepping(), lambda returned: None)
    runner.close()
    runner.run()
    assert steps == []


def test_a_fiber_may_begin_with_the_next_turn() -> None:
    returned: list[object] = []

    def stepping() -> Steps:
        yield Turn()
        return 5

    runner = Application(function).runner(Clock())
    runner.spawn_later(stepping(), returned.append)
    for _ in range(2):
        assert returned == []
        runner.run()
    assert returned == [5]


def steps_of(log: list[str], *pendings: Pending) -> Generator[Pending, Any, object]:
    try:
        for pending in pendings:
            yield pending
            log.append("went on")
        return "ended"
    finally:
        log.append("over")


def test_what_comes_when_a_runner_is_closed_may_end_at_once() -> None:
    loopback, log, ended = Loopback(lambda req: None), list[str](), list[object]()
    loopback.runner.close()
    fiber = loopback.runner.spawn(steps_of(log), ended.append)
    loopback.runner.forget(fiber)
    assert (log, ended) == (["over"], ["ended"])


def test_what_has_to_wait_when_a_runner_is_closed_is_given_up() -> None:
    loopback, log, ended = Loopback(lambda req: None), list[str](), list[object]()
    loopback.runner.close()
    pending = Pending()
    for background in (False, True):
        loopback.runner.spawn(steps_of(log, pending), ended.append, background=background)
    assert (log, ended, loopback.runner.is_busy) == (["over", "over"], [], False)
    pending.settle(None)
    loopback.runner.run()
    assert log == ["over", "over"]


def test_handlers_can_be_given_up_and_what_runs_in_the_background_goes_on() -> None:
    loopback, log, others = Loopback(lambda req: None), list[str](), list[str]()
    runner, pending = loopback.runner, Pending()
    runner.spawn(steps_of(log, Pending()), log.append)  # type: ignore[arg-type]
    runner.spawn(steps_of(others, pending), others.append, background=True)  # type: ignore[arg-type]
    assert runner.is_busy
    runner.close_handlers()
    assert (log, others, runner.is_busy) == (["over"], [], False)
    pending.settle(None)
    runner.run()
    assert others == ["went on", "over", "ended"]
    # And handlers may begin again.
    runner.spawn(steps_of(log, Pending()), log.append)  # type: ignore[arg-type]
    assert runner.is_busy


def test_a_runner_has_timers_of_its_own() -> None:
    runner = Application(function).runner(Clock())
    ran: list[float] = []
    assert runner.next_deadline() is None
    runner.timers.add(5.0, ran.append)
    assert runner.next_deadline() == 5.0
    runner.handle_timeout(6.0)
    assert ran == [6.0]


def test_a_coroutine_function_is_left_to_the_backend() -> None:
    started: list[tuple[Exchange, object]] = []
    driven = Driven()
    runner = Application(coroutine).runner(
        driven.clock, start_async=lambda exchange, function: started.append((exchange, function))
    )
    runner.start(driven.exchange)
    assert started == [(driven.exchange, coroutine)]


def test_without_a_backend_it_is_500(caplog: pytest.LogCaptureFixture) -> None:
    driven = Driven()
    runner = Application(coroutine).runner(driven.clock)
    runner.start(driven.exchange)
    driven.push()
    assert driven.responses()[0].status == 500
    assert "an async handler needs a backend" in str(caplog.records[0].exc_info)


# Logs -------------------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture, act: Callable[[Loopback], None], **cfg: Any) -> list[str]:
    loop = Loopback(generator, **cfg)
    with caplog.at_level(logging.INFO, "httpng"):
        act(loop)
    return [record.getMessage() for record in caplog.records]


def test_the_access_log_tells_each_request_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    def act(loop: Loopback) -> None:
        loop.connect().get("/a?b")
        slow = loop.connect(room=0)
        slow.get("/slow")
        loop.advance(2)
        slow.reset()

    assert logged(caplog, act, access_log=True) == [
        '192.0.2.1 "GET /a?b HTTP/1.1" status=200 route=- first_byte=0.000 seconds=0.000 current=9 sent=9 '
        "acked=- lag=0.000 stalled=- complete end=complete",
        '192.0.2.1 "GET /slow" was cancelled: the connection was reset by the client; '
        "current=9 sent=0 acked=- end=client_reset",
        '192.0.2.1 "GET /slow HTTP/1.1" status=200 route=- first_byte=- seconds=2.000 current=9 sent=0 '
        "acked=- lag=2.000 stalled=- cancelled end=client_reset",
    ]


def test_an_exchange_without_a_response_has_no_status_to_log(caplog: pytest.LogCaptureFixture) -> None:
    async def waiting(req: Request, io: Any) -> None:
        await io.wait_cancelled()

    loop = Loopback(waiting, access_log=True)
    with caplog.at_level(logging.INFO, "httpng"):
        client = loop.connect()
        client.get()
        client.reset()
    _, record = caplog.records
    assert "status=0 route=- first_byte=- seconds=0.000 current=0 sent=0" in record.getMessage()


def test_it_is_off_by_default(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, lambda loop: loop.connect().get()) == []


def test_refused_requests_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    (message,) = logged(caplog, lambda loop: loop.connect().send(b"\0"))
    assert message.startswith("refused a request of 192.0.2.1: 400 ")


@pytest.mark.parametrize(
    ("peer", "name"), [(Address("", 0, "AF_UNIX", protocol="unix"), "unix:"), (Address("", 0), "-")]
)
def test_a_client_without_an_address_has_a_name_in_each_line(
    caplog: pytest.LogCaptureFixture, peer: Address, name: str
) -> None:
    def fails(req: Request) -> None:
        raise RuntimeError("broken")

    app = Application(fails)
    runner = app.runner(Clock())
    with caplog.at_level(logging.INFO, "httpng"):
        for sent in (b"\0", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"):
            connection = app.connection(0.0, peer=peer)
            connection.receive_data(sent, 0.0)
            runner.serve(connection)
            connection.connection_lost(0.0)
            runner.serve(connection)
    refused, failed, ended = [record.getMessage() for record in caplog.records]
    assert refused.startswith(f"refused a request of {name}: 400 ")
    assert failed == f"handler error on GET / of {name} (answered with 500)"
    assert ended.startswith(f'{name} "GET /" was cancelled: ')


# Application ------------------------------------------------------------------------------------------


def test_an_application_checks_everything_before_it_runs() -> None:
    with pytest.raises(ConfigError, match="handler is not a function"):
        Application(5)
    with pytest.raises(TypeError, match="must take"):
        Application(async_of_four)
    with pytest.raises(ConfigError):
        Application(function, default_send_window=-1)
    with pytest.raises(ConfigError):
        Application(function, listen="localhost:eighty")
    with pytest.raises(ConfigError, match="unknown parameter no_such"):
        Application(function, no_such=1)


def test_nothing_of_an_application_in_python_would_start_it_again() -> None:
    app = Application(lambda req: None)
    app.when_ended(lambda: None)
    assert app.has_ended


def test_an_application_has_settings_and_addresses() -> None:
    application = Application(function, listen="127.0.0.1:8080", stall_timeout=5)
    assert application.settings.stall_timeout == 5
    assert [(one.host, one.port) for one in application.listen] == [("127.0.0.1", 8080)]
    changed = application.with_settings(stall_timeout=7)
    assert (changed.settings.stall_timeout, application.settings.stall_timeout) == (7, 5)
    assert changed.listen == application.listen
    assert changed.handler is application.handler


def test_a_handler_becomes_an_application_which_stays_one() -> None:
    made = as_application(function, "127.0.0.1:1", {"stall_timeout": 5})
    assert made.settings.stall_timeout == 5
    assert as_application(made, None, {}) is made
    with pytest.raises(TypeError, match="an Application has its own settings: stall_timeout"):
        as_application(made, None, {"stall_timeout": 6})


# What an event loop can't await ------------------------------------------------------------------------


def optional(req: Request, io: object = None) -> bytes:
    return b""


def both(req: Request, io: object) -> None: ...


def any_number(*args: object) -> None: ...


def named(req: Request, **more: object) -> bytes:
    return b""


async def awaited(req: Request, io: object = None) -> None: ...


async def awaits_any_number(*args: object) -> None: ...


def steps(req: Request, io: object = None) -> Any:
    yield


@functools.wraps(awaited)
def decorated(*args: Any, **more: Any) -> Any:
    return awaited(*args, **more)


class Handlers:
    def method(self, req: Request, io: object) -> None: ...

    def __call__(self, req: Request, io: object = None) -> None: ...


class AsyncHandlers:
    async def method(self, req: Request, io: object) -> None: ...

    async def __call__(self, req: Request, io: object) -> None: ...


UNAWAITED: list[tuple[Any, str, str]] = [
    (optional, "optional(req, io=None)", "optional"),
    (both, "both(req, io)", "both"),
    (any_number, "any_number(*args)", "any_number"),
    (lambda req, io: None, "<lambda>(req, io)", "handler"),
    (lambda req, name="x": name, "<lambda>(req, name='x')", "handler"),
    (functools.partial(lambda name, req, io: None, 5), "<lambda>(req, io)", "handler"),
    (Handlers().method, "Handlers.method(req, io)", "method"),
    (Handlers(), "Handlers.__call__(req, io=None)", "__call__"),
]
AWAITED: list[Any] = [
    awaited,
    awaits_any_number,
    steps,
    decorated,
    named,
    lambda req: None,
    functools.partial(awaited, io=5),
    functools.partial(awaits_any_number, 5),
    AsyncHandlers().method,
    AsyncHandlers(),
]


@pytest.mark.parametrize(("handler", "told", "name"), UNAWAITED)
def test_what_takes_io_and_is_not_async_is_refused_with_what_to_write(
    handler: Any, told: str, name: str
) -> None:
    inner, outer = Router(), Router()
    inner.route("/a/:b", handler)
    outer.route("/", inner)
    for one in (handler, inner, outer):
        with pytest.raises(ConfigError) as raised:
            check_awaited(one)
        assert told in str(raised.value)
        assert str(raised.value).endswith(
            f"isn't async, yet takes io: write 'async def {name}(req, io)' to use io, "
            f"or 'def {name}(req)' to return a response"
        )


@pytest.mark.parametrize("handler", [*AWAITED, "/a/directory"])
def test_what_is_async_steps_or_does_without_io_is_not_refused(handler: Any) -> None:
    check_awaited(handler)


@pytest.mark.parametrize("handler", [one[0] for one in UNAWAITED])
def test_an_application_may_have_what_another_driver_runs(handler: Any) -> None:
    assert Application(handler).sites[0].handler is handler


def test_an_asgi_application_needs_a_backend(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    client = Loopback(app).connect()
    client.get()
    assert client.responses()[0].status == 500
    assert "an ASGI application needs a backend" in caplog.text


def test_a_backend_starts_an_asgi_application_whose_body_is_streamed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    class Served(Driven):
        def application(self, **settings: Any) -> Application:
            return Application(app, **settings)

    started: list[tuple[Exchange, object]] = []
    driven = Served(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
    runner = Application(app).runner(driven.clock, start_asgi=lambda *args: started.append(args))
    runner.start(driven.exchange)
    [(exchange, handler)] = started
    assert exchange is driven.exchange
    assert isinstance(handler, AsgiHandler)
    assert handler.app is app
    assert exchange.incoming is not None, "it begins before its body is there"


def test_a_request_that_asks_for_no_websocket_is_answered_with_what_is_wrong() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        yield io.accept_websocket()

    response = ask(handler)
    assert response.status == 400
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.body.endswith(b"for a WebSocket")


class Interrupted(dict[str, Any]):
    def get(self, key: str, default: object = None) -> Any:
        raise KeyboardInterrupt


def interrupted(req: Request, io: GeneratorIO) -> Steps:
    yield Turn()
    raise KeyboardInterrupt


@pytest.mark.parametrize("handler", [lambda req: Interrupted(status=200), interrupted])
def test_what_no_program_should_catch_gets_through_wherever_it_is_raised(handler: Any) -> None:
    loop = Loopback(handler)
    client = loop.connect()
    with pytest.raises(KeyboardInterrupt):
        client.get()
    assert not loop.runner.is_busy


def test_nor_does_giving_a_handler_up_catch_it() -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        try:
            yield io.wait(1)
        finally:
            raise KeyboardInterrupt

    loop = Loopback(handler)
    loop.connect().get()
    with pytest.raises(KeyboardInterrupt):
        loop.runner.close()
    assert not loop.runner.is_busy


def test_of_a_request_that_is_given_up_already_no_refusal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        try:
            yield req.read()
        except BodyError:
            if req.path == "/abort":
                io.abort()
            raise

    wire = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnone\r\n"
    with caplog.at_level(logging.INFO, "httpng"):
        for path in (b"/", b"/abort"):
            Loopback(handler, stream_bodies=True).connect().send(wire % path)
    assert [line for line in caplog.messages if line.startswith("refused POST")] == [
        "refused POST / of 192.0.2.1: 400 " + caplog.messages[0].rpartition(": 400 ")[2]
    ]


def test_routers_within_routers_whose_handlers_can_be_awaited_are_not_refused() -> None:
    inner, outer = Router(), Router()
    inner.route("/a", coroutine, stream_body=True)
    inner.route("/b", function)
    outer.route("/", inner)
    outer.route("/c", coroutine)
    check_awaited(outer)
    inner.route("/c", lambda req, io: None, stream_body=True)
    with pytest.raises(ConfigError, match="isn't async, yet takes io"):
        check_awaited(outer)


def test_where_there_is_one_thread_its_loop_is_called_at_once() -> None:
    called: list[str] = []
    Application(function).runner(Clock()).call_in_loop(lambda: called.append("now"))
    assert called == ["now"]


def test_a_request_has_the_state_of_what_serves_it() -> None:
    application = Application(lambda req: str(req.state))
    application.state = "of the lifespan"
    driven = Driven()
    runner = application.runner(driven.clock)
    driven.connection.receive_data(b"", driven.now)
    connection = application.connection(driven.now)
    connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", driven.now)
    assert runner.serve(connection)
    assert b"".join(connection.data_to_send(driven.now)).endswith(b"of the lifespan")


def test_a_clean_end_is_nothing_to_tell_unless_there_is_an_access_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for access_log in (False, True):
        clock = Clock()
        application = Application(function, access_log=access_log)
        runner, connection = application.runner(clock), application.connection(clock(), tells_complete=True)
        connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", clock())
        assert runner.serve(connection)
        with caplog.at_level(logging.INFO, "httpng"):
            connection.bytes_accepted(sum(map(len, connection.data_to_send(clock()))), clock())
            assert connection.events
            assert not runner.serve(connection)
        assert not connection.events
        assert runner.ends == {}
        assert len(caplog.messages) == access_log


class Broken(dict[str, Any]):
    def get(self, key: str, default: object = None) -> Any:
        raise ZeroDivisionError


def test_what_code_of_the_users_raises_in_what_was_returned_has_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ask(lambda req: Broken(status=200)).status == 500
    [record] = [one for one in caplog.records if one.exc_info]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert record.getMessage().startswith("handler error on GET /")


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("nothing", "nothing sent"),
        ("reset", "ended before, after 3 bytes"),
        ("whole", "after its answer of 3"),
    ],
)
def test_an_error_behind_the_end_says_what_the_client_has(
    end: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(req: Request, io: GeneratorIO) -> Steps:
        if end != "nothing":
            yield io.write(b"abc")
        if end == "whole":
            io.close()
        else:
            io.abort()
        raise ZeroDivisionError

    loop = Loopback(handler)
    loop.connect().get()
    [record] = [one for one in caplog.records if one.exc_info]
    assert told in record.getMessage()


def test_where_one_thread_serves_a_state_its_lock_is_free() -> None:
    lock = StateLock()
    assert lock.enter()
    lock.leave()
    runner = Application(function).runner(Clock())
    for run in (lock.call, lock.ask):
        assert run(runner, _five, _told) == (5,)


def _five() -> tuple[int]:
    return (5,)


def _told(answer: object, error: Exception | None) -> None:
    raise AssertionError("it was told at once")


@pytest.mark.skipif(COMPILED, reason="what is compiled can't be given a defect")
def test_a_response_that_fails_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    application, clock, answers = Application(lambda req: "hello"), Clock(), list[Any]()
    runner = application.runner(clock)
    connections = [application.connection(clock()) for _ in range(2)]
    for connection in connections:
        connection.receive_data(GET, clock())
        runner.serve(connection, answers)
    assert [b"".join(connection.data_to_send(clock())) for connection in connections] == [b"", b""]
    # A defect: there is no such head.
    answers[0] = answers[0][0], None, b"hello"
    give_answers(answers, clock())
    assert answers == []
    sent = [b"".join(connection.data_to_send(clock())) for connection in connections]
    assert sent[0].startswith(b"HTTP/1.1 500 ")
    assert sent[1].startswith(b"HTTP/1.1 200 ")
    assert sent[1].endswith(b"hello")
    assert "AttributeError" in caplog.text
