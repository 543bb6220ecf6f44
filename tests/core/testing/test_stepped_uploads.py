"""Handlers that read while the body comes in, in a `Loopback`: no sockets, no loop."""

from typing import Any

from httpng_core import Application, Request
from httpng_core.testing import Loopback

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


def test_an_async_handler_reads() -> None:
    seen = []

    async def handler(req: Request, io: Any) -> bytes:
        await io.write_informational(103)
        async for piece in req.stream():
            seen.append(piece)
        return b"".join(seen)

    client = Loopback(Application(handler, stream_bodies=True)).connect()
    client.send(HEAD + b"hello")
    assert seen == [b"hello"]
    client.send(b"world")
    assert client.take().endswith(b"\r\n\r\nhelloworld")


def test_a_whole_body_is_read_likewise() -> None:
    async def handler(req: Request, io: Any) -> bytes:
        pieces = [piece async for piece in req.stream()]
        return b" ".join([*pieces, await req.read()])

    client = Loopback(Application(handler)).connect()
    client.send(HEAD + b"helloworld")
    assert client.take().endswith(b"\r\n\r\nhelloworld ")


def test_a_generator_reads() -> None:
    def handler(req: Request, io: Any) -> Any:
        first = yield req.read(2)
        rest = yield req.read()
        yield io.write(first + b" " + rest)

    for streams in (True, False):
        client = Loopback(Application(handler, stream_bodies=streams)).connect()
        client.send(HEAD + b"helloworld")
        (response,) = client.responses()
        assert response.body == b"he lloworld"
