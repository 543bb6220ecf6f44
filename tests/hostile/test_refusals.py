"""What refusals may cost: they echo little, name the client; a flood of them is a few lines of the log."""

import logging
import socket

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread, until

from httpng_core import ListenAddress, Request

pytestmark = pytest.mark.anyio

LINES_PER_SECOND = 10
REFUSED = 200

SHAPES = {
    "a target": b"GET " + b"\\" * 16_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target of bytes": b"GET " + b"\xff" * 16_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method": b"[" * 16_000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a Host": b"GET / HTTP/1.1\r\nHost: " + b"\xe9" * 16_000 + b"\r\n\r\n",
    "a header name": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"(" * 16_000 + b": y\r\n\r\n",
    "a header line": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"y" * 16_000 + b"\r\n\r\n",
    "a coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + b"\xe9" * 16_000 + b"\r\n\r\n",
    "a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"\xe9" * 16_000 + b"\r\n\r\n",
    "a chunk line": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"z" * 4000
    + b"\r\n",
    "no such path": b"GET /" + b"%0a" * 16_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


def hello(req: Request) -> str:
    return "hello"


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES)
async def test_little_of_the_input_comes_back_or_is_logged(
    serving: Serving, caplog: pytest.LogCaptureFixture, data: bytes, engine: str
) -> None:
    caplog.set_level(logging.INFO)
    sites = [{"path": "/only", "handler": hello}]
    async with serving(None, sites=sites, http1_engine=engine, access_log=True) as server:
        with Client(server.addresses[0]) as client:
            response = await in_thread(client.ask, data)
    assert response.status in (400, 404, 501)
    assert len(response.body) <= 200
    assert b"bytearray" not in response.body
    assert b"b'" not in response.body
    lines = [record.getMessage() for record in caplog.records if "127.0.0.1" in record.getMessage()]
    assert lines
    assert all(len(line) <= 500 for line in lines)


def refuse_one(address: ListenAddress) -> None:
    with socket.create_connection((address.host, address.port), timeout=20) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        while sock.recv(4096):
            pass


async def test_a_flood_of_refusals_is_a_few_lines_and_a_count(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="httpng")

    def told() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.getMessage().startswith("refused a request")]

    def counted() -> int:
        """Lines, and what they count that has no line."""
        return sum(int(line.split()[-2]) if line.endswith("more") else 1 for line in told())

    began = anyio.current_time()
    async with serving(hello) as server:
        for _ in range(REFUSED):
            await in_thread(refuse_one, server.addresses[0])
        seconds = anyio.current_time() - began
        await until(lambda: counted() == REFUSED, "the rest is counted")
    assert len(told()) <= (LINES_PER_SECOND + 1) * (seconds + 2)
    assert any(line.endswith("more") for line in told())


async def test_what_is_counted_is_told_when_the_server_stops(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="httpng")
    async with serving(hello) as server:
        for _ in range(LINES_PER_SECOND + 3):
            await in_thread(refuse_one, server.addresses[0])
    counts = [r.getMessage() for r in caplog.records if r.getMessage().endswith("more")]
    assert counts == ["refused a request of ... and 3 more"]
