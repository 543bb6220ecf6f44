"""Attacks over HTTP/2, and responses that would be costly."""

import struct
import time

import pytest
from tests.driver.harness import Serving, in_thread
from tests.driver.http2_client import Client2
from tests.hostile.beside import traced

from httpng_core import Request, Response

pytestmark = pytest.mark.anyio

KIB = 1024


def settings_frame(entries: list[tuple[int, int]]) -> bytes:
    payload = b"".join(struct.pack(">HL", *entry) for entry in entries)
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, 4, 0, 0) + payload


async def test_a_long_response_header_takes_linear_time(serving: Serving) -> None:
    seconds = []

    def handler(req: Request) -> Response:
        return Response(headers={"x-long": "~" * (60_000 if req.path == "/60" else 15_000)}, body="x")

    async with serving(handler) as server:
        with Client2(server.addresses[0]) as client:
            await in_thread(client.shake)
            for path in ("/15", "/60", "/15", "/60"):
                began = time.process_time()
                received = await in_thread(client.get, path)
                seconds.append(time.process_time() - began)
                assert received.headers is not None
                assert len(received.headers["x-long"]) == int(path[1:]) * 1000
    # Quadratic, it took 16 times as long, and 0.7 s. The client's part is in this, which is linear.
    assert min(seconds[1], seconds[3]) < 0.3


async def test_settings_that_nobody_knows_are_not_kept(serving: Serving) -> None:
    frames = [
        settings_frame([(number, 1) for number in range(first, first + 2000)])
        for first in range(0x1000, 0xF000, 2000)
    ]
    async with serving(lambda req: "hello") as server:
        with Client2(server.addresses[0]) as client:
            await in_thread(client.shake)
            # The preface.
            client.say()
            with traced() as grown:
                for frame in frames:
                    await in_thread(client.send, frame)
                received = await in_thread(client.get)
                most = grown()
    # So many at once are a flood.
    assert received.broken
    # What one read has is there at once; kept, all of it was 47 MiB.
    assert most < 4096 * KIB
