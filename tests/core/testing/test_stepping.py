"""Async handlers in a Loopback: stepped without an event loop, every call of their io."""

from collections.abc import Generator
from typing import Any

import pytest

from httpng_core import Response, SendResult
from httpng_core.testing import Loopback


def test_an_async_handler_streams_to_a_slow_client_without_a_loop() -> None:
    told: list[object] = []

    async def handler(req: Any, io: Any) -> None:
        io.headers["x-a"] = "1"
        told.append(await io.write_header(200))
        told.append(await io.write(b"a" * 100))
        told.append((await io.write(b"b" * 100, timeout=1)).body_bytes_sent)
        told.append((await io.wait(0, 100)).reached)
        told.append(io.get_send_stats().sent)
        await io.close()

    loop = Loopback(handler, default_send_window=150)
    client = loop.connect(room=60)
    client.get()
    assert told == [None, None]
    loop.advance(1)
    assert told == [None, None, 0]
    client.give_room()
    assert told == [None, None, 0, True, 100]
    (response,) = client.responses()
    assert (response.body, response.headers["x-a"], response.complete) == (b"a" * 100, "1", True)


def test_an_async_handler_may_return_its_response() -> None:
    async def handler(req: Any, io: Any) -> Response:
        return Response(status=201, body=req.path)

    client = Loopback(handler).connect()
    client.get("/x")
    assert [(each.status, each.body) for each in client.responses()] == [(201, b"/x")]


def test_wait_cancelled_ends_when_the_client_is_gone() -> None:
    told: list[SendResult] = []

    async def handler(req: Any, io: Any) -> None:
        await io.write_header(200)
        await io.wait_cancelled()
        told.append(await io.write(b"x"))

    loop = Loopback(handler)
    client = loop.connect()
    client.get()
    assert told == []
    client.reset()
    assert told[0].cancelled


def test_anything_but_io_can_not_be_awaited(caplog: pytest.LogCaptureFixture) -> None:
    class Elsewhere:
        def __await__(self) -> Generator[str, None, None]:
            yield "an event loop's own"

    async def handler(req: Any, io: Any) -> None:
        await Elsewhere()

    client = Loopback(handler).connect()
    client.get()
    assert client.responses()[0].status == 500
    assert "TypeError" in str(caplog.records[0].exc_info)
