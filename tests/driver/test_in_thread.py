"""Handlers that block run in worker threads: others are answered meanwhile."""

import contextvars
import threading

import pytest
from tests.driver.harness import BOUND, Client, Serving, in_thread

import httpng_driver
from httpng_core import Request, Response, Router

pytestmark = pytest.mark.anyio


async def test_others_are_answered_meanwhile(serving: Serving) -> None:
    go_on, threads = threading.Event(), set()

    @httpng_driver.in_thread
    def blocks(req: Request) -> Response:
        """Wait for the other request."""
        threads.add(threading.current_thread())
        assert go_on.wait(BOUND)
        return Response(json=req.query_params["a"])

    def releases(req: Request) -> str:
        threads.add(threading.current_thread())
        go_on.set()
        return "released"

    router = Router()
    router.route("/blocks", blocks)
    router.route("/releases", releases)
    assert (blocks.__name__, blocks.__doc__) == ("blocks", "Wait for the other request.")
    async with serving(router) as server:
        with Client(server.addresses[0]) as first, Client(server.addresses[0]) as second:
            first.send(b"GET /blocks?a=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            told = await in_thread(second.ask, b"GET /releases HTTP/1.1\r\nHost: x\r\n\r\n")
            assert told.body == b"released"
            assert (await in_thread(first.read_response)).body == b'"1"'
    assert len(threads) == 2


async def test_what_it_raises_and_its_context(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @httpng_driver.in_thread
    def handler(req: Request) -> str:
        variable.set(variable.get() + 1)
        if req.path == "/raises":
            raise LookupError("in the thread")
        return str(variable.get())

    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            for _ in range(2):
                assert (await in_thread(client.ask)).body == b"1"
            told = await in_thread(client.ask, b"GET /raises HTTP/1.1\r\nHost: x\r\n\r\n")
    assert told.status == 500
    assert "LookupError: in the thread" in caplog.text


def test_what_does_not_block_needs_no_thread() -> None:
    async def coroutine(req: Request) -> str:
        return ""

    def generator(req: Request) -> object:
        yield ""

    for handler in (coroutine, generator):
        with pytest.raises(TypeError, match="in_thread is for a plain 'def handler"):
            httpng_driver.in_thread(handler)
