"""Hundreds of clients that don't read, under an ASGI application: what they cost, and that it goes."""

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from tests.driver.harness import MANY_CLIENTS, serving_on, tasks_of
from tests.driver.net import HTTP1, Net, Transport

from httpng_core import Request
from httpng_driver import IO

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

WINDOW = 64 * 1024
EVENT = b"data: %s\n\n" % (b"x" * 2000)
TIMEOUT = 30
"""Long enough for all to be full before the first is given up."""
KIB = 1024
EXCHANGE_AT_MOST = 64 * KIB
"""What an exchange may cost beside its window, with its connection and its client; 20 and 35 were seen."""
ASGI_AT_MOST = 16 * KIB
"""What a stalled stream may cost more than that of a native handler: a task, a scope."""
LOOPS: dict[str, Any] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class Streams:
    """Endless streams, of an ASGI application or native, and those that run."""

    def __init__(self) -> None:
        self.running: set[Any] = set()

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        io = scope["extensions"]["httpng"]["io"]
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self.running.add(io)
        try:
            while True:
                await send({"type": "http.response.body", "body": event(), "more_body": True})
        finally:
            self.running.discard(io)

    async def native(self, req: Request, io: IO) -> None:
        self.running.add(io)
        try:
            while await io.write(event()) is None:
                pass
            io.abort()
        finally:
            self.running.discard(io)

    def are_full(self) -> bool:
        """Whether as many run as there are clients, and none of them has room for another event."""
        told = [io.get_send_stats() for io in self.running]
        return len(told) == MANY_CLIENTS and all(one.current - one.sent > WINDOW - len(EVENT) for one in told)


def event() -> bytes:
    """An event of its own, as an application makes one: else all that wait would be the same bytes."""
    return bytes(bytearray(EVENT))


def allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def until_at_last(condition: Callable[[], object]) -> None:
    """Waits for what takes longer than most."""
    with anyio.fail_after(10 * TIMEOUT):
        while not condition():  # noqa: ASYNC110 - what it asks has no event
            await anyio.sleep(0.05)


async def held_by_each(net: Net, streams: Streams, app: object) -> float:
    """How many bytes Python has allocated for each client, its own included; in the end all are gone."""
    cfg = {
        "default_send_window": WINDOW,
        "default_send_timeout": TIMEOUT,
        "stall_timeout": 600,
        "lifespan": "off",
    }
    async with net.serving(app, **cfg) as server, AsyncExitStack() as stack:
        tracemalloc.start()
        before = allocated()
        for _ in range(MANY_CLIENTS):
            client = await stack.enter_async_context(net.connect(server, receive_buffer=4096))
            client.request()
            await anyio.lowlevel.checkpoint()
        await until_at_last(streams.are_full)
        held = (allocated() - before) / MANY_CLIENTS
        tracemalloc.stop()
        await until_at_last(lambda: not streams.running)
        await until_at_last(lambda: not tasks_of(server))
    return held


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("transport", [HTTP1, Transport(http2=True)], ids=str)
async def test_they_cost_little_more_than_under_native_handlers(
    transport: Transport, anyio_backend_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    streams, net = Streams(), Net(serving_on(anyio_backend_name), transport, None)  # type: ignore[arg-type]
    native = await held_by_each(net, streams, streams.native)
    asgi = await held_by_each(net, streams, streams.asgi)
    with capsys.disabled():
        told = f"{native / KIB:.0f} KiB for each by native handlers, {asgi / KIB:.0f} by ASGI"
        print(f"\n{anyio_backend_name}, {transport}: {told}")
    assert native <= WINDOW + EXCHANGE_AT_MOST
    assert asgi <= native + ASGI_AT_MOST
