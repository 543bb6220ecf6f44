"""Uploads longer than memory should be: what the server's process takes for them, and at which rate."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import Observed, Serving, in_thread, until
from tests.driver.http1_client import BOUND, Client
from tests.driver.http2_client import Client2
from tests.driver.uploader import Uploader

from httpng_asyncio import IO, Request
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio
MIB = 1 << 20
PIECE = bytes(64 * 1024)
WARM = 8 * MIB
"""After so much of an upload all that a connection needs once is there."""
LUA = """
local httpng = require 'httpng'
local function upload(req, io)
  local size = 0
  while true do
    local piece, why = req:read()
    if not piece then return ('%d %s'):format(size, why or 'whole') end
    size = size + #piece
  end
end
httpng.cfg{handler = upload, stream_body = true, listen = '127.0.0.1:0'}
"""
SIZES = [64 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.soak)]


@pytest.fixture(params=[pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def count(req: Request, io: IO) -> str:
    size = 0
    async for piece in req.stream():
        size += len(piece)
    return f"{size} whole"


def resident() -> int:
    """How much memory this process takes, of which the server is a part."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pieces(size: int, seen: list[int]) -> Iterator[bytes]:
    """An upload, which looks at the memory as it goes."""
    for at in range(0, size, len(PIECE)):
        if at >= WARM and at % (4 * MIB) == 0:
            seen.append(resident())
        yield PIECE


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size >> 20}MiB")
@pytest.mark.parametrize("client_of", [Client, Client2], ids=["http1", "http2"])
@pytest.mark.parametrize("language", ["python", "lua"])
async def test_memory_does_not_grow_with_an_upload(
    serving: Serving, tmp_path: Path, language: str, client_of: type[Client], size: int
) -> None:
    app: object = count
    cfg = {"stream_bodies": True}
    if language == "lua":
        script = tmp_path / "app.lua"
        script.write_text(LUA)
        app, cfg = LuaApplication(script, clock=time.monotonic), {}
    seen: list[int] = []
    async with serving(app, **cfg) as server:
        with client_of(server.addresses[0]) as client:
            upload = Uploader(client, size)
            await in_thread(upload.send_all, pieces(size, seen))
            received = await in_thread(client.read_response)
    assert received.body == b"%d whole" % size
    assert max(seen) - seen[0] < 8 * MIB


@pytest.mark.soak
@pytest.mark.parametrize("client_of", [Client, Client2], ids=["http1", "http2"])
async def test_a_handler_that_reads_64_kib_a_second(serving: Serving, client_of: type[Client]) -> None:
    """The client gets on as fast as that, apart from what the buffers of both kernels hold, or the window."""
    seconds, rate = 8, 64 * 1024
    read = 0

    @Observed
    async def handler(req: Request, io: IO) -> int:
        nonlocal read
        for second in range(seconds):
            began = anyio.current_time()
            while read < (second + 1) * rate:
                read += len(await req.read((second + 1) * rate - read))
            await anyio.sleep(max(began + 1 - anyio.current_time(), 0))
        return read

    async with serving(handler, stream_bodies=True) as server:
        with client_of(server.addresses[0]) as client:
            upload = Uploader(client, 1024 * MIB)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_on, upload)
                await until(lambda: read >= rate)
                await settled(upload)
                before, at = upload.sent, read
                with anyio.fail_after(BOUND):
                    assert await handler.outcome() == seconds * rate
                assert at < read
                # Kernels take and give windows in steps.
                assert upload.sent - before <= read - at + 3 * MIB
                client.close()
                tasks.cancel_scope.cancel()


async def send_on(upload: Uploader) -> None:
    """Sends until the connection ends."""
    with suppress(OSError):
        await in_thread(upload.send_all, pieces(1024 * MIB, []))


async def settled(upload: Uploader) -> None:
    """Waits until the buffers are full: the client hasn't got on for half a second."""
    before = -1
    with anyio.fail_after(BOUND):
        while before != upload.sent:
            before = upload.sent
            await anyio.sleep(0.5)
