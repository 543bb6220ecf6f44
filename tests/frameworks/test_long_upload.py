"""An upload longer than memory should be, to a streaming endpoint of FastAPI: what memory it takes."""

import pytest
from fastapi import FastAPI, Request
from tests.driver.harness import in_thread, serving_on
from tests.driver.http1_client import Client
from tests.driver.http2_client import Client2
from tests.driver.test_long_uploads import MIB, pieces
from tests.driver.uploader import Uploader

pytestmark = [pytest.mark.anyio, pytest.mark.soak]
app = FastAPI()


@app.post("/")
async def upload(request: Request) -> dict[str, int]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"size": size}


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.parametrize("client_of", [Client, Client2], ids=["http1", "http2"])
async def test_memory_does_not_grow_with_it(client_of: type[Client]) -> None:
    size = 1024 * MIB
    seen: list[int] = []
    async with serving_on("asyncio")(app) as server:
        with client_of(server.addresses[0]) as client:
            upload = Uploader(client, size)
            await in_thread(upload.send_all, pieces(size, seen))
            received = await in_thread(client.read_response)
    assert received.body == b'{"size":%d}' % size
    print(f"{(max(seen) - seen[0]) / MIB:.1f} MiB more")
    assert max(seen) - seen[0] < 8 * MIB
