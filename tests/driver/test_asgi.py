"""ASGI applications: what `send` and `receive` do, whatever the client does."""

import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextvars import ContextVar
from math import inf
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import Client, Serving, adopted, exchanges_of, in_thread, until, within_bound
from tests.driver.net import Net

from httpng_core import Application, Router
from httpng_driver import IO, ClientGoneError, SendTimeout

pytestmark = pytest.mark.anyio

Message = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Awaitable[None]]
Call = Callable[[Message, Receive, Send], Awaitable[None]]

PLAIN = [(b"content-type", b"text/plain")]
START = {"type": "http.response.start", "status": 200, "headers": PLAIN}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class App:
    """An application whose outcome the test awaits: `@App` above the function.

    Attributes:
        raised: what the function raised, if it did.
        scope: of the last request.
    """

    def __init__(self, function: Call) -> None:
        self._function = function
        self.raised: BaseException | None = None
        self.scope: Message = {}
        self.begun = anyio.Event()
        self.done = anyio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "lifespan is off in these tests"
        self.scope = scope
        self.begun.set()
        try:
            await self._function(scope, receive, send)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            self.done.set()


OFF = {"lifespan": "off"}


# Whole and streamed responses ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 300_000], ids=["empty", "short", "beyond the window"])
async def test_a_whole_response_has_its_length(net: Net, size: int) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b""
        await send({**START, "status": 201, "headers": [[b"X-One", b"1"]]})
        await send(body(b"x" * size))
        assert await receive() == {"type": "http.disconnect"}

    async with net.serving(app, default_send_window=65536, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get)
        await within_bound(app.done)
    assert app.raised is None
    assert (received.status, received.body) == (201, b"x" * size)
    assert received.headers is not None
    assert (received.headers["x-one"], received.headers["content-length"]) == ("1", str(size))
    assert received.complete


async def test_a_streamed_response(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({**START, "status": 404})
        for piece in (b"one,", b"two,", b""):
            await send(body(piece, more=True))
            await anyio.lowlevel.checkpoint()
        await send(body(b"three"))

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        first, second = [await in_thread(client.get) for _ in range(2)]
    assert app.raised is None
    for received in (first, second):
        assert (received.status, received.body, received.complete) == (404, b"one,two,three", True)
        assert "content-length" not in (received.headers or {})


async def test_the_scope(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body())

    sites = [{"path": "/mount/", "handler": app}]
    cfg = {"sites": sites, "root_path": "/root", **OFF}
    async with net.serving(None, **cfg) as server, net.connect(server) as client:
        await in_thread(client.get, "/mount/a%20%C3%A9?q=%20&r", "GET", [("x-some", "Value")])
        assert client.port == app.scope["client"][1]
        assert server.addresses[0].port == app.scope["server"][1]
    transport, scope = net.transport, app.scope
    told = {
        key: scope[key] for key in ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path")
    }
    assert told == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "2" if transport.http2 else "1.1",
        "method": "GET",
        "scheme": "https" if transport.tls else "http",
        "path": "/root/mount/a é",
        "raw_path": b"/root/mount/a%20%C3%A9",
    }
    assert (scope["query_string"], scope["root_path"], scope["state"]) == (b"q=%20&r", "/root/mount", {})
    assert (b"x-some", b"Value") in scope["headers"]
    assert scope["headers"][0][0] == b"host"


async def test_io_is_an_extension(net: Net) -> None:
    stats = []

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        io = scope["extensions"]["httpng"]["io"]
        assert isinstance(io, IO)
        await send(START)
        await send(body(b"one", more=True))
        assert await io.write(b"two") is None
        stats.append(io.get_send_stats().current)
        await send(body(b"three"))

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get)
    assert (received.body, stats) == (b"onetwothree", [6])


async def test_head_ends_a_stream_without_end(net: Net) -> None:
    """Its bytes are dropped, nobody waits for them, and they don't go on for ever."""

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send(body(b"x" * 1000, more=True))

    async with net.serving(app, disconnect_grace=0.05, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get, "/", "HEAD")
        await within_bound(app.done)
        assert received.status == 200
        assert isinstance(app.raised, anyio.get_cancelled_exc_class())
        assert (await in_thread(client.get, "/", "HEAD")).status == 200


async def test_each_request_has_a_context_of_its_own(net: Net) -> None:
    seen: ContextVar[str] = ContextVar("seen", default="nothing")
    found = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        found.append(seen.get())
        seen.set("something")
        await send(START)
        await send(body())

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        for _ in range(3):
            await in_thread(client.get)
    assert found == ["nothing"] * 3


# Slow and vanished clients ------------------------------------------------------------------------------

WINDOW = 64 * 1024


async def test_send_raises_and_aborts_when_there_is_no_room_in_time(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = []

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send(body(b"x" * 10_000, more=True))
            accepted.append(10_000)

    caplog.set_level(logging.INFO, "httpng")
    cfg = {"default_send_window": WINDOW, "default_send_timeout": 0.2, **OFF}
    async with net.serving(app, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        await in_thread(client.stall)
        await within_bound(app.done)
        assert isinstance(app.raised, SendTimeout)
        assert isinstance(app.raised, OSError)
        await in_thread(client.read_response)
        assert client.was_reset
    (line,) = [record.getMessage() for record in caplog.records if record.name == "httpng"]
    assert "was reset: send found no room for 10000 bytes within its timeout of 0.2 s" in line


async def test_no_more_is_accepted_than_the_window_and_a_frame_beyond_the_kernel(net: Net) -> None:
    accepted, io = 0, None

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal accepted, io
        io = scope["extensions"]["httpng"]["io"]
        await send(START)
        while True:
            await send(body(b"x" * 10_000, more=True))
            accepted += 10_000

    async with (
        net.serving(app, default_send_window=WINDOW, **OFF) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        taken = await net.standstill(pump, client)
        assert io is not None
        stats, believed = io.get_send_stats(), accepted
        assert stats.sent > WINDOW / 4, "the kernel has room for some"
        assert stats.sent <= believed <= stats.sent + WINDOW
        in_kernel = net.body_size(await in_thread(client.read_wire, taken))
        # A frame or a record that the kernel has a part of counts as a whole.
        assert in_kernel - 16 * 1024 <= believed <= in_kernel + WINDOW + 16 * 1024


async def test_send_raises_at_once_when_the_client_has_gone(net: Net) -> None:
    raised: list[OSError] = []

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        try:
            while True:
                await send(body(b"x" * 10_000, more=True))
        except OSError as error:
            raised.append(error)
        assert await receive() == {"type": "http.disconnect"}
        try:
            await send(body(b"more"))
        except OSError as error:
            raised.append(error)

    cfg = {"default_send_window": WINDOW, "default_send_timeout": inf, "disconnect_grace": inf, **OFF}
    async with net.serving(app, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        pump = await adopted(server, client)
        # It is parked by now.
        await net.standstill(pump, client)
        client.abandon()
        await within_bound(app.done)
    assert app.raised is None
    assert [type(error) for error in raised] == [ClientGoneError, ClientGoneError]


@pytest.mark.parametrize("grace", [0, 0.05])
async def test_the_task_of_a_client_that_has_gone_is_cancelled(
    net: Net, grace: float, caplog: pytest.LogCaptureFixture
) -> None:
    disconnected = anyio.Event()

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(body(b"x", more=True))
        try:
            await anyio.sleep_forever()
        finally:
            assert await receive() == {"type": "http.disconnect"}
            disconnected.set()

    async with net.serving(app, disconnect_grace=grace, **OFF) as server, net.connect(server) as client:
        client.request()
        await in_thread(client.read_body, 1)
        client.abandon()
        await within_bound(app.done)
        await within_bound(disconnected)
    assert isinstance(app.raised, anyio.get_cancelled_exc_class())
    assert "handler error" not in caplog.text


async def test_the_task_goes_on_once_its_response_is_whole(net: Net) -> None:
    gone, background = anyio.Event(), anyio.Event()

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"x"))
        await within_bound(gone)
        await anyio.sleep(0.02)
        background.set()

    async with net.serving(app, disconnect_grace=0, **OFF) as server, net.connect(server) as client:
        assert (await in_thread(client.get)).body == b"x"
        client.close()
        await until(lambda: not server.connections)
        gone.set()
        await within_bound(background)


async def test_receive_tells_that_the_client_has_gone(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(body(b"x", more=True))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            assert await receive() == {"type": "http.disconnect"}

    async with net.serving(app, disconnect_grace=inf, **OFF) as server, net.connect(server) as client:
        client.request()
        await in_thread(client.read_body, 1)
        client.abandon()
        await within_bound(app.done)
    assert app.raised is None


async def test_what_comes_of_a_lost_client_is_not_logged_again(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
        except OSError:
            raise RuntimeError("as frameworks do") from None

    cfg = {"default_send_window": WINDOW, "default_send_timeout": inf, **OFF}
    async with net.serving(app, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        await net.standstill(await adopted(server, client), client)
        client.abandon()
        await within_bound(app.done)
    assert "handler error" not in caplog.text


async def test_a_cancelled_send_is_dropped_whole_or_the_response_is_not_complete(net: Net) -> None:
    """A body within the window may be given up for a newer one; a longer one, once begun, may not."""
    dropped = anyio.Event()

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        with anyio.move_on_after(0.3) as scope_:
            while True:
                await send(body(b"x" * 10_000, more=True))
        assert scope_.cancelled_caught
        dropped.set()
        await send(body(b"new"))

    cfg = {"default_send_window": WINDOW, **OFF}
    async with net.serving(app, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        await in_thread(client.stall)
        await within_bound(dropped)
        received = await in_thread(client.read_response)
    assert received.complete
    assert received.body.endswith(b"new")
    assert (len(received.body) - 3) % 10_000 == 0


async def test_a_send_torn_by_cancellation_resets(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        with anyio.move_on_after(0.3):
            await send(body(b"x" * 20_000_000, more=True))
        await send(body(b"new"))

    cfg = {"default_send_window": WINDOW, **OFF}
    async with net.serving(app, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        await in_thread(client.stall)
        await within_bound(app.done)
        await in_thread(client.read_response)
        assert client.was_reset
    assert isinstance(app.raised, ClientGoneError)


# Mistakes -----------------------------------------------------------------------------------------------


async def _nothing(send: Send) -> None:
    """Return at once."""


async def _no_end(send: Send) -> None:
    await send(START)


async def _body_first(send: Send) -> None:
    await send(body(b"x"))


async def _start_twice(send: Send) -> None:
    await send(START)
    await send(START)


async def _unknown(send: Send) -> None:
    await send({"type": "http.response.nonsense"})


async def _bad_status(send: Send) -> None:
    await send({**START, "status": 99})
    await send(body())


async def _bad_header(send: Send) -> None:
    await send({**START, "headers": [(b"x", b"a\r\nb")]})
    await send(body(more=True))


async def _wrong_length(send: Send) -> None:
    await send({**START, "headers": [(b"content-length", b"3")]})
    await send(body(b"more than three"))


async def _raises(send: Send) -> None:
    raise LookupError("of its own")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (_nothing, "has returned without a response"),
        (_no_end, "without the last message of its response"),
        (_body_first, "http.response.body before http.response.start"),
        (_start_twice, "a second http.response.start"),
        (_unknown, "http.response.nonsense"),
        (_bad_status, "HTTP code 99"),
        (_bad_header, "control character"),
        (_wrong_length, "content-length is 3"),
        (_raises, "LookupError: of its own"),
    ],
)
async def test_a_mistake_is_logged_and_answered(
    net: Net, what: Callable[[Send], Awaitable[None]], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await what(send)

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get)
    assert received.status == 500
    assert told in caplog.text


async def test_a_response_without_its_end_is_cut_short(net: Net) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"begun", more=True))
        await scope["extensions"]["httpng"]["io"].wait(0)

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get)
        assert (received.body, received.complete) == (b"begun", False)
        assert client.was_cut_short


async def test_a_message_after_the_last_is_a_mistake(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"x"))
        await send(body(b"y"))

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        assert (await in_thread(client.get)).body == b"x"
        await within_bound(app.done)
        await until(lambda: "after the response's last message" in caplog.text)


async def test_nothing_stays_of_a_request(net: Net) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(body(b"x"))

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        await in_thread(client.get)
        await in_thread(client.get)
        pump = await adopted(server, client)
        await until(lambda: not exchanges_of(pump))


# Beside handlers of httpng ------------------------------------------------------------------------------


async def test_an_application_among_sites_and_routes(net: Net) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(scope["root_path"].encode() + b"|" + scope["path"].encode()))

    router = Router()
    router.route("/native", lambda req: "native")
    router.route("/routed/:id", app)
    served = Application(router, sites=[{"path": "/asgi", "handler": app}], lifespan="off")
    async with net.serving(served) as server, net.connect(server) as client:
        assert (await in_thread(client.get, "/native")).body == b"native"
        assert (await in_thread(client.get, "/routed/7")).body == b"|/routed/7"
        assert (await in_thread(client.get, "/asgi/x")).body == b"/asgi|/asgi/x"


# Request bodies -----------------------------------------------------------------------------------------


async def _echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with the body, and how many messages it came in."""
    pieces, more = [], True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        more = message["more_body"]
    await send({**START, "headers": [(b"pieces", b"%d" % len(pieces))]})
    await send(body(b"".join(pieces)))


def post(net: Net, client: Any, data: bytes, declared: int | None = None) -> None:
    """Sends a request with a body, of which less may come than is declared."""
    length = [("content-length", str(len(data) if declared is None else declared))]
    if net.transport.http2:
        client.post(length, data)
    else:
        client.send(client.prepare("/", "POST", length) + data)


async def test_a_body_is_pulled(net: Net) -> None:
    async with net.serving(_echo, max_body_len=10, **OFF) as server, net.connect(server) as client:
        for data in (b"short", bytes(range(250)) * 60, b""):
            await in_thread(post, net, client, data)
            assert (await in_thread(client.read_response)).body == data


async def test_receive_tells_of_a_client_that_leaves_midway(net: Net) -> None:
    got = []

    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request":
            got.append(message)

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        if net.transport.http2:
            client.request()
        else:
            await in_thread(post, net, client, b"not all", 100)
        await within_bound(app.begun)
        client.close()
        await within_bound(app.done)
    assert app.raised is None
    assert got or net.transport.http2


async def test_a_body_that_is_too_long_is_answered(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        await send(START)

    async with net.serving(app, max_stream_len=5, **OFF) as server, net.connect(server) as client:
        await in_thread(post, net, client, b"too long")
        assert (await in_thread(client.read_response)).status == 413
        assert "Traceback" not in caplog.text


async def test_an_answer_may_come_before_the_body(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({**START, "status": 403})
        await send(body(b"no"))

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        await in_thread(post, net, client, b"x" * 1000)
        received = await in_thread(client.read_response)
    assert (received.status, received.body) == (403, b"no")


# Extensions ---------------------------------------------------------------------------------------------


async def test_a_file_by_its_path_and_by_its_descriptor(net: Net, tmp_path: Path) -> None:
    data = bytes(range(251)) * 1000
    file = tmp_path / "file"
    file.write_bytes(data)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        if scope["path"] == "/path":
            await send({"type": "http.response.pathsend", "path": str(file)})
        elif scope["path"] == "/missing":
            await send({"type": "http.response.pathsend", "path": str(file) + "s"})
        else:
            with file.open("rb") as opened:
                message = {"type": "http.response.zerocopysend", "file": opened}
                await send({**message, "offset": 5, "count": 100_000, "more_body": True})
                await send({**message, "count": 7, "more_body": False})

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        whole = await in_thread(client.get, "/path")
        parts = await in_thread(client.get, "/descriptor")
        head = await in_thread(client.get, "/path", "HEAD")
        missing = await in_thread(client.get, "/missing")
    assert (whole.body, whole.complete) == (data, True)
    assert (whole.headers or {})["content-length"] == str(len(data))
    assert parts.body == data[5:100_005] + data[:7]
    assert (head.status, head.body) == (200, b"")
    assert missing.status == 500


async def test_hints_trailers_and_tls(net: Net) -> None:
    @App
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
        await send({**START, "trailers": True})
        await send(body(b"x"))
        trailers = {"type": "http.response.trailers"}
        await send({**trailers, "headers": [(b"sum", b"1")], "more_trailers": True})
        await send({**trailers, "headers": [(b"more", b"2")]})

    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        received = await in_thread(client.get, "/", "GET", [("te", "trailers")])
        await within_bound(app.done)
    assert (app.raised, received.body, received.complete) == (None, b"x", True)
    tls = app.scope["extensions"].get("tls")
    if net.transport.tls:
        assert tls is not None
        assert tls["tls_version"] == 0x0304
        assert tls["cipher_suite"] >> 8 == 0x13
        assert ssl.PEM_cert_to_DER_cert(tls["server_cert"])
        assert (tls["client_cert_chain"], tls["client_cert_name"]) == ([], None)
    else:
        assert tls is None


async def test_trailers_are_sent(serving: Serving) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</s>; rel=preload"]})
        await send({**START, "trailers": True})
        await send(body(b"x"))
        await send({"type": "http.response.trailers", "headers": [(b"sum", b"1")]})

    async with serving(app, **OFF) as server:
        with Client(server.addresses[0]) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n")
            await in_thread(client.read_to_end)
    wire = bytes(client.wire)
    assert wire.startswith(b"HTTP/1.1 103 ")
    assert b"link: </s>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n" in wire
    assert wire.endswith(b"1\r\nx\r\n0\r\nsum: 1\r\n\r\n")
