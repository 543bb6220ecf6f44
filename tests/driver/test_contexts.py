"""Each request's handler runs in a context of its own: what it sets no other request sees."""

from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import pytest
from tests.driver.harness import Client, Serving, in_thread
from tests.driver.net import Net

from httpng_core import GeneratorIO, Pending, Request, Router
from httpng_driver import IO

pytestmark = pytest.mark.anyio

user: ContextVar[str] = ContextVar("user", default="nobody")


def swap(req: Request) -> str:
    """Tell who it was before, and set who it is."""
    before = user.get()
    user.set(req.path)
    return before


def plain(req: Request) -> str:
    return swap(req)


def generator(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str]:
    before = swap(req)
    yield io.write(before)
    yield io.wait(0, 1)
    return user.get()


async def coroutine(req: Request, io: IO) -> str:
    before = swap(req)
    await io.write(before)
    await io.wait(0, 1)
    return user.get()


ROUTED = Router()
ROUTED.before(lambda req: None if req.path.endswith("skip") else swap(req) and None)
ROUTED.route("/*rest", lambda req: user.get())


@pytest.mark.parametrize("handler", [plain, generator, coroutine])
async def test_nor_to_the_next_request_that_came_with_it(serving: Serving, handler: object) -> None:
    """It may be begun by what ends the one before."""
    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3)]
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.send(b"".join(requests))
            for number in range(3):
                received = await in_thread(client.read_response)
                own = "" if handler is plain else f"/{number}"
                assert received.body.decode() == f"nobody{own}"


@pytest.mark.parametrize("handler", [plain, generator, coroutine])
async def test_context_variables_do_not_leak_between_requests(net: Net, handler: object) -> None:
    async with net.serving(handler) as server, net.connect(server) as one, net.connect(server) as other:
        for client in (one, one, other, one):
            received = await in_thread(client.get, f"/{client.port}")
            own = "" if handler is plain else f"/{client.port}"
            assert received.body.decode() == f"nobody{own}"
    assert user.get() == "nobody"


async def test_what_a_before_sets_is_for_the_handler_of_its_request(net: Net) -> None:
    async with net.serving(ROUTED) as server, net.connect(server) as one, net.connect(server) as other:
        assert (await in_thread(one.get, "/me")).body == b"/me"
        for client in (one, other):
            assert (await in_thread(client.get, "/skip")).body == b"nobody"
