"""What the log says of a handler that fails: once, with client and request, and where the response stood."""

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.driver.harness import BOUND, in_thread, until, within_bound
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_core import Application, GeneratorIO, Pending, Request
from httpng_driver import IO
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

REASON = "the reason"
LUA = f"""
require 'httpng'.cfg{{handler = function(req, io)
  if req.path:match '^/cut' then io:write('begun') io:wait(0) end
  error('{REASON}')
end}}
"""
READ = threading.Event()
"""The client has read what was sent."""


class ReasonError(Exception):
    pass


def plain(req: Request) -> object:
    raise ReasonError(REASON)


def steps(req: Request, io: GeneratorIO) -> Generator[Pending, Any, object]:
    if req.path.startswith("/cut"):
        yield io.write(b"begun")
        yield io.wait(0)
    raise ReasonError(REASON)


async def coroutine(req: Request, io: IO) -> object:
    if req.path.startswith("/cut"):
        await io.write(b"begun")
        await io.wait(0)
    raise ReasonError(REASON)


async def asgi(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[object]],
    send: Callable[[object], Awaitable[None]],
) -> None:
    if scope["path"] == "/cut":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        assert await in_thread(READ.wait, BOUND)
    raise ReasonError(REASON)


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/cut":
        return pieces(start_response)
    raise ReasonError(REASON)


def pieces(start_response: Callable[..., object]) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"begun"
    assert READ.wait(BOUND)
    raise ReasonError(REASON)


KINDS = ["plain", "generator", "coroutine", "asgi", "wsgi", "lua"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of errors: the first lines, those of Lua without what it told."""
    return [record.getMessage().partition(": ")[0] for record in caplog.records]


@pytest.fixture(params=[plain, steps, coroutine, asgi, wsgi, LUA], ids=KINDS)
def app(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend_name: str) -> Application:
    if request.param is wsgi and anyio_backend_name == "trio":
        pytest.skip("WSGI runs on asyncio alone")
    if request.param is not LUA:
        return Application(request.param, lifespan="off")
    script = tmp_path / "app.lua"
    script.write_text(LUA)
    return LuaApplication(script, clock=time.monotonic)


async def test_one_that_fails_before_anything_was_sent(
    net: Net, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    # All levels: a whole answer leaves no second line.
    caplog.set_level(logging.DEBUG, "httpng")
    async with net.serving(app) as server, net.connect(server) as client:
        client.request("/whole?a=1")
        assert (await in_thread(client.read_response)).status == 500
        logged = said(caplog)
    assert logged == ["handler error on GET /whole?a=1 of 127.0.0.1 (answered with 500)"]
    assert caplog.text.count(REASON) == 1


@pytest.mark.parametrize("app", [steps, coroutine, asgi, wsgi, LUA], ids=KINDS[1:], indirect=True)
async def test_one_that_fails_after_the_response_began(
    net: Net, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "httpng")
    READ.clear()
    async with net.serving(app) as server, net.connect(server) as client:
        client.request("/cut?a=1")
        await in_thread(client.read_body, 5)
        READ.set()
        received = await in_thread(client.read_response)
        assert (received.body, received.complete) == (b"begun", False)
    assert said(caplog) == ["handler error on GET /cut?a=1 of 127.0.0.1 (cut after 5 bytes)"]
    assert caplog.text.count(REASON) == 1


async def test_one_that_fails_after_its_answer(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(req: Request, io: IO) -> None:
        io.headers["content-length"] = 5
        await io.write(b"whole")
        await io.wait(0)
        raise ReasonError(REASON)

    async with net.serving(handler) as server, net.connect(server) as client:
        received = await in_thread(client.get)
        assert (received.body, received.complete) == (b"whole", True)
    assert said(caplog) == ["handler error on GET / of 127.0.0.1 (after its answer of 5 bytes)"]


async def test_one_that_fails_once_its_client_has_gone(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    begun = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        begun.set()
        await io.wait_cancelled()
        raise ReasonError(REASON)

    caplog.set_level(logging.ERROR, "httpng")
    async with net.serving(handler) as server, net.connect(server) as client:
        client.request()
        await within_bound(begun)
        client.abandon()
        await until(lambda: caplog.records)
    assert said(caplog) == ["handler error on GET / of 127.0.0.1 (nothing sent)"]


async def test_one_that_fails_in_a_websocket(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(req: Request, io: IO) -> None:
        ws = await io.accept_websocket()
        await ws.send("hello")
        raise ReasonError(REASON)

    caplog.set_level(logging.ERROR, "httpng")
    async with net.serving(handler) as server, net.connect(server) as client:
        ws = WsClient(client)
        await in_thread(ws.shake)
        assert await in_thread(ws.read) == "hello"
        assert await in_thread(ws.read) is None
        assert ws.closed == (1011, "")
    # A frame with the message, and the one that closes.
    method = "CONNECT" if net.transport.http2 else "GET"
    assert said(caplog) == [f"handler error on {method} / of 127.0.0.1 (after 11 bytes)"]
