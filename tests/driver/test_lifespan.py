"""What an application does before its first request and after its last one, on each loop."""

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread, within_bound

from httpng_core import Application, ConfigError, Request, StartupError

pytestmark = pytest.mark.anyio


def state_of(req: Request) -> str:
    return str(req.state)


class Record:
    """Notes what happens, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[str]:
        self.events.append(f"up in {threading.current_thread().name}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            yield "the market"
            tasks.cancel_scope.cancel()
        self.events.append("down")


@pytest.mark.parametrize("cancel", [False, True], ids=["shutdown", "cancelled"])
async def test_a_handler_finds_what_the_lifespan_gave(serving: Serving, cancel: bool) -> None:
    record = Record()
    app = Application(state_of, lifespan=record.lifespan, threads=2)
    async with serving(app, cancel=cancel) as server:
        assert record.events == ["up in MainThread"]
        for _ in range(2):
            with Client(server.addresses[0]) as client, Client(server.addresses[0]) as other:
                assert (await in_thread(client.get)).body == b"the market"
                assert (await in_thread(other.get)).body == b"the market"
        if not cancel:
            server.shutdown()
    assert record.events[1:] == (["down"] if not cancel else [])
    assert app.state is None


async def test_it_is_left_after_the_last_handler(serving: Serving) -> None:
    order: list[str] = []
    begun = anyio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            order.append("down")

    async def handler(req: Request, io: Any) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            order.append("handler")

    async with serving(handler, lifespan=lifespan, shutdown_timeout=0.05, cancel=False) as server:
        with Client(server.addresses[0]) as client:
            client.request()
            await within_bound(begun)
            server.shutdown()
            await in_thread(client.read_to_end)
    assert order == ["handler", "down"]


async def test_a_lifespan_that_raises_is_no_start(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    app = Application(state_of, lifespan=lifespan)
    with pytest.raises(StartupError, match="raised LookupError: no database"):
        async with serving(app):
            pass
    assert "Traceback" in caplog.text


async def _generator() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("lifespan", "error", "told"),
    [
        (_generator, TypeError, "needs @contextlib.asynccontextmanager"),
        (asynccontextmanager(lambda app: _generator()), TypeError, "must take no arguments"),
        ("sometimes", ConfigError, "auto, on or off"),
    ],
)
async def test_what_is_no_lifespan(lifespan: object, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Application(state_of, lifespan=lifespan)


# ASGI ---------------------------------------------------------------------------------------------------

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Asgi:
    """An application with a lifespan by the book.

    Attributes:
        events: what it was told, in order.
    """

    def __init__(self, *, fails: str = "", leaves: bool = True) -> None:
        self.events: list[str] = []
        self._fails = fails
        self._leaves = leaves

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        body = f"{scope['state'].get('pool')} {scope['state'].get('mine')}".encode()
        scope["state"]["mine"] = "changed"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope["state"]["pool"] = "pool"
        while True:
            kind = (await receive())["type"]
            self.events.append(kind)
            verb = kind.removeprefix("lifespan.")
            if verb == self._fails:
                await send({"type": f"{kind}.failed", "message": "it was\nnot to be"})
                return
            await send({"type": f"{kind}.complete"})
            if verb == "shutdown" and self._leaves:
                return


@pytest.mark.parametrize("cancel", [False, True], ids=["shutdown", "cancelled"])
@pytest.mark.parametrize("leaves", [True, False], ids=["returns", "asks for more"])
async def test_an_asgi_application_is_told(serving: Serving, cancel: bool, leaves: bool) -> None:
    app = Asgi(leaves=leaves)
    async with serving(app, sites=[{"path": "/too", "handler": app}], cancel=cancel) as server:
        assert app.events == ["lifespan.startup"]
        with Client(server.addresses[0]) as client:
            for path in ("/", "/too", "/"):
                assert (await in_thread(client.get, path)).body == b"pool None"
        if not cancel:
            server.shutdown()
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_asgi_application_that_can_not_start(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    app = Asgi(fails="startup")
    with pytest.raises(StartupError, match="failed: not to be"):
        async with serving(app):
            pass
    assert "it was\nnot to be" in caplog.text


async def test_an_asgi_application_that_can_not_stop(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Asgi(fails="shutdown"), cancel=False) as server:
        server.shutdown()
    assert "the shutdown of the ASGI application failed: it was\nnot to be" in caplog.text


async def _raises(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})


async def _returns(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _raises(scope, receive, send)


@pytest.mark.parametrize("app", [_raises, _returns])
async def test_an_asgi_application_without_lifespan(
    serving: Serving, app: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "httpng")
    async with serving(app) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.get)).body == b"x"
    with pytest.raises(StartupError, match="doesn't support lifespan"):
        async with serving(app, lifespan="on"):
            pass
    assert not caplog.records


async def test_a_crash_after_the_start_is_logged(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise LookupError("the pool is gone")

    async with serving(app, cancel=False) as server:
        server.shutdown()
    assert "the pool is gone" in caplog.text


async def test_lifespan_off(serving: Serving) -> None:
    app = Asgi(fails="startup")
    async with serving(app, lifespan="off") as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.get)).body == b"None None"
        server.reconfigure(Asgi(), lifespan="off")
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.get)).body == b"None None"
    assert app.events == []


async def test_none_comes_in_while_the_server_runs(serving: Serving) -> None:
    app = Asgi()
    async with serving(app) as server:
        with pytest.raises(ConfigError, match="can't come in while the server runs"):
            server.reconfigure(Asgi())
        server.reconfigure(sites=[{"path": "/there", "handler": app}])
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.get, "/there")).body == b"pool None"


async def test_wsgi(serving: Serving, anyio_backend_name: str) -> None:
    pytest.importorskip("a2wsgi")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [environ["PATH_INFO"].encode(), environ["wsgi.input"].read()]

    if anyio_backend_name == "trio":
        with pytest.raises(ConfigError, match="WSGI applications run on asyncio alone"):
            async with serving(app):
                pass
        return
    async with serving(app) as server:
        with Client(server.addresses[0]) as client:
            client.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            assert (await in_thread(client.read_response)).body == b"/xhi"
