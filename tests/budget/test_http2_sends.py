"""How often a server asks the kernel to send, on HTTP/2: answers that are ready together go out together."""

import asyncio
import socket
import sys
from types import FrameType
from typing import Any

import pytest

from httpng_asyncio import AsyncioReactor
from httpng_core import Address, Application
from httpng_core.testing import Http2Client
from httpng_driver.loop import Accepted, Hub

STREAMS = 20
PEERS = (Address("127.0.0.1", 1), Address("127.0.0.1", 2))


async def native(req: Any, io: Any) -> str:
    await asyncio.sleep(0)
    return "hello"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize("app", [native, asgi])
def test_answers_that_are_ready_together_are_sent_together(app: Any) -> None:
    calls: list[str] = []

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ in ("send", "sendmsg"):
            calls.append(argument.__name__)

    async def ask() -> None:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            theirs.setblocking(False)
            async with AsyncioReactor() as reactor:
                hub = Hub(Application(app), reactor)
                hub.take(Accepted(theirs, *PEERS))
                client = Http2Client()
                ids = [client.request("/") for _ in range(STREAMS)]
                await asyncio.get_running_loop().sock_sendall(ours, client.take())
                sys.setprofile(count)
                try:
                    while not all(
                        stream in client.streams and client.streams[stream].complete for stream in ids
                    ):
                        client.receive(await asyncio.get_running_loop().sock_recv(ours, 65536))
                finally:
                    sys.setprofile(None)
                hub.close()
        assert all(client.streams[stream].body == b"hello" for stream in ids)

    asyncio.run(ask())
    # One of them is that of the settings.
    assert len(calls) <= 3
