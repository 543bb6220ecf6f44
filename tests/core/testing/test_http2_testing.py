"""The HTTP/2 client of a `Loopback`, with handlers of each kind."""

from collections.abc import Callable
from typing import Any

import pytest

from httpng_core import Request, Response
from httpng_core.testing import Loopback


def test_handlers_of_every_kind() -> None:
    def plain(req: Request) -> object:
        return f"{req.path} {req.version_major}"

    def steps(req: Request, io: Any) -> Any:
        yield io.write(f"{req.path} ")
        yield io.write("2")

    async def coroutine(req: Request, io: Any) -> object:
        await io.write(f"{req.path} ")
        return "2"

    kinds: list[Callable[..., object]] = [plain, steps, coroutine]
    for handler in kinds:
        client = Loopback(handler).connect_http2()
        streams = [client.request(f"/{number}") for number in range(3)]
        assert [bytes(stream.body) for stream in streams] == [b"/0 2", b"/1 2", b"/2 2"]
        assert all(stream.complete for stream in streams)


def test_a_write_that_the_window_of_the_client_holds() -> None:
    told = []

    def handler(req: Request, io: Any) -> Any:
        io.send_window = 0
        told.append((yield io.write(b"x" * 100, timeout=0.5)))
        told.append((yield io.write(b"y" * 10, timeout=0.5)))

    loop = Loopback(handler)
    client = loop.connect_http2(window=60, reads=False)
    stream = client.request(method="POST", body=b"abc")
    loop.advance(0.5)
    assert told[0].body_bytes_sent == 60
    client.give(10, 1)
    assert told[1:] == [None]
    assert stream.body == b"x" * 60 + b"y" * 10
    assert stream.complete


def test_a_kernel_without_room_and_a_client_that_loses_interest() -> None:
    told = []

    def handler(req: Request, io: Any) -> Any:
        io.send_window = 0
        told.append((yield io.write(b"x" * 100_000)))

    loop = Loopback(handler)
    client = loop.connect_http2(room=1000)
    client.request()
    assert loop.exchanges[0].stats(0).sent < 1000
    client.cancel(1)
    assert told[0].cancelled
    client.give_room()
    client.request()
    client.reset()
    client.request()
    assert [exchange.is_over for exchange in loop.exchanges] == [True, True]


@pytest.mark.parametrize("room", [0, 1, 30, 100])
def test_whatever_the_kernel_takes_at_a_time(room: int) -> None:
    loop = Loopback(lambda req: Response(body="hello"))
    client = loop.connect_http2(room=room)
    stream = client.request()
    while not stream.complete:
        client.give_room(7)
    assert stream.body == b"hello"
