"""The library websockets as a client: its handshake, compression, fragments, PINGs and close."""

import pytest
from tests.driver.harness import serving_on
from websockets.asyncio.client import connect

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def echo(req: Request, io: IO) -> None:
    ws = await io.accept_websocket()
    async for message in ws:
        await ws.send(message)
    assert ws.close_code == 1000


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_what_it_sends_comes_back(compression: str | None) -> None:
    async with serving_on("asyncio")(echo) as server:
        port = server.addresses[0].port
        async with connect(f"ws://127.0.0.1:{port}/", compression=compression) as client:
            assert len(client.protocol.extensions) == (1 if compression else 0)
            for message in ("text", b"\x00\xff" * 50_000, "\u20ac" * 5000, "", b""):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["a" * 300, "b" * 300])
            assert await client.recv() == "a" * 300 + "b" * 300
            await (await client.ping())
        assert client.close_code == 1000
