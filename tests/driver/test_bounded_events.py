"""One event of one connection takes a bounded time, whatever it holds: counted in what others wait for."""

import contextlib
import threading
from collections.abc import AsyncIterator

import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread
from tests.driver.net import HTTP1, Net, Transport

from httpng_core import Connection, Request
from httpng_driver import Server

pytestmark = pytest.mark.anyio

AT_ONCE = 64 * 1024
CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 170_000
MANY = GET * 40_000


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was handed over at once, of whatever connection."""
    pieces: list[int] = []
    receive_data = Connection.receive_data

    def counting(self: Connection, data: bytes, now: float) -> None:
        pieces.append(len(data))
        receive_data(self, data, now)

    monkeypatch.setattr(Connection, "receive_data", counting)
    return pieces


@contextlib.asynccontextmanager
async def flooding(server: Server, data: bytes) -> AsyncIterator[None]:
    """A client that sends without a pause, at first as much as the kernel takes; nobody has read any."""
    with Client(server.addresses[0]) as client:
        client.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < len(data):
                sent += client.socket.send(data[sent:])
        client.socket.settimeout(20)

        def read() -> None:
            with contextlib.suppress(OSError):
                while client.socket.recv(1 << 16):
                    pass

        def send() -> None:
            with contextlib.suppress(OSError):
                client.socket.sendall(data[sent:])

        threads = [threading.Thread(target=read), threading.Thread(target=send)]
        for thread in threads:
            thread.start()
        yield
        with contextlib.suppress(OSError):
            client.socket.shutdown(2)
        for thread in threads:
            await in_thread(thread.join)


async def test_a_body_in_chunks_of_one_byte(serving: Serving, pieces: list[int]) -> None:
    waited: list[int] = []

    def handler(req: Request) -> str:
        if req.path == "/me":
            waited.append(len(pieces))
        return f"{len(req.body)}"

    async with serving(handler) as server:
        with Client(server.addresses[0]) as other:
            async with flooding(server, CHUNKS):
                other.send(b"GET /me HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await in_thread(other.read_response)).body == b"0"
    assert max(pieces) <= AT_ONCE
    # Its own piece, and what came first of the other's.
    assert waited[0] <= 3


@pytest.mark.parametrize("transport", [HTTP1, Transport(tls=True)], ids=str)
async def test_others_have_their_turn_while_tiny_chunks_are_read(net: Net) -> None:
    """All of the body is in the kernel, and in front of what the other one asks for."""
    served: list[str] = []
    begun, go_on = threading.Event(), threading.Event()
    body = b"1\r\nx\r\n" * 10_000
    chunked = b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % body

    def handler(req: Request) -> str:
        if req.path == "/hold":
            begun.set()
            assert go_on.wait(BOUND)
        served.append(req.path)
        return f"{len(req.body)}"

    async with (
        net.serving(handler) as server,
        net.connect(server) as holder,
        net.connect(server) as first,
        net.connect(server) as other,
    ):

        def meanwhile() -> None:
            assert begun.wait(BOUND)
            first.send(chunked)
            other.request("/me")
            go_on.set()

        thread = threading.Thread(target=meanwhile)
        thread.start()
        holder.request("/hold")
        await in_thread(thread.join)
        assert (await in_thread(first.read_response)).body == b"10000"
        assert (await in_thread(other.read_response)).body == b"0"
    assert served == ["/hold", "/me", "/chunks"]


async def test_requests_that_come_without_a_pause(serving: Serving) -> None:
    """A client that doesn't wait for answers gets some, and then others have their turn."""
    served: list[str] = []

    def handler(req: Request) -> str:
        served.append(req.path)
        return ""

    async with serving(handler) as server:
        with Client(server.addresses[0]) as other:
            async with flooding(server, MANY):
                other.send(b"GET /me HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await in_thread(other.read_response)).status == 200
    assert served.index("/me") <= 32
