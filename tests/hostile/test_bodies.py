"""Bodies: how often they are in memory, and how slowly they may come."""

import socket
import tracemalloc

import pytest
from tests.driver.harness import Client, Serving, in_thread
from tests.hostile.bank import CHUNKED, LAST_CHUNK, body
from tests.hostile.beside import traced

from httpng_core import Request

pytestmark = pytest.mark.anyio

SIZE = 2_000_000
SLACK = 600_000
FORMS = {
    "by length": body(SIZE),
    "in chunks of 50 KB": CHUNKED + (b"c350\r\n" + b"x" * 50_000 + b"\r\n") * (SIZE // 50_000) + LAST_CHUNK,
    "in chunks of 50 bytes": CHUNKED + (b"32\r\n" + b"x" * 50 + b"\r\n") * (SIZE // 50) + LAST_CHUNK,
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
async def test_a_body_is_in_memory_once_while_the_handler_runs(serving: Serving, data: bytes) -> None:
    sizes = []

    def handler(req: Request) -> str:
        assert len(req.body) == SIZE
        sizes.append(tracemalloc.get_traced_memory()[0])
        return "done"

    async with serving(handler, max_body_len=SIZE) as server:
        with Client(server.addresses[0]) as client, traced() as grown:
            response = await in_thread(client.ask, data)
            most = grown()
    assert response.body == b"done"
    assert sizes[0] <= SIZE + SLACK
    assert most <= 2 * SIZE + SLACK


@pytest.mark.soak
async def test_a_body_that_trickles_is_refused(serving: Serving) -> None:
    """See tests/core/http1/test_slow_bodies.py, where time is turned by hand."""

    def trickle(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, timeout=0.1) as sock:
            sock.sendall(body(1000)[:-999])
            for _ in range(200):
                sock.send(b"x")
                try:
                    return sock.recv(4096)
                except TimeoutError:
                    continue
        return b""

    async with serving(lambda req: "done") as server:
        address = server.addresses[0]
        assert (await in_thread(trickle, (address.host, address.port))).startswith(b"HTTP/1.1 408 ")
