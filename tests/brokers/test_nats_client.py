"""How a connection to NATS ends, by a server that says no more than a client wants to hear."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import nats.errors
import pytest
from anyio.from_thread import start_blocking_portal
from tests.brokers.servers import BOUND

from httpng.feeds.nats_client import Client, End

AT_ONCE = struct.pack("ii", 1, 0)
"""A socket that is closed with this linger resets its connection."""


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a client until it is connected, and reset the connection."""
    writer.write(b'INFO {"server_id": "a", "version": "2.9.10", "max_payload": 1000}\r\n')
    # One that finds this too slow goes away, and comes again.
    with suppress(ConnectionError):
        while (line := await reader.readline()) and line != b"PING\r\n":
            pass
        writer.write(b"PONG\r\n")
        await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()


@contextmanager
def resetting() -> Iterator[int]:
    """A server that does so; gives its port."""
    with start_blocking_portal("asyncio") as portal:
        server = portal.call(asyncio.start_server, greet, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        portal.call(server.close)


async def end_of_one(port: int, turns: int) -> set[asyncio.Task[Any]]:
    """Be told of a reset while something is published every few turns; returns the tasks that are left."""
    end, client = End(), Client()
    await client.connect(
        f"nats://127.0.0.1:{port}",
        allow_reconnect=False,
        connect_timeout=int(BOUND),
        error_cb=end.note_error,
        closed_cb=end.note_closed,
    )
    told = asyncio.ensure_future(end.fail(client))
    with suppress(nats.errors.ConnectionClosedError):
        while not told.done():
            await client.publish("a", b"x")
            for _ in range(turns):
                await asyncio.sleep(0)
    with pytest.raises(ConnectionError, match=r"reset|closed|EOF"):
        await asyncio.wait_for(told, BOUND)
    await client.close()
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_it_is_told_that_a_connection_was_reset_whatever_waits_to_be_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"), resetting() as port:
        # Each in a loop of its own: Python 3.12 and 3.13 leave the descriptor of a connection that was reset
        # in the selector, if it is written to once more, and the next one has the same number.
        for turns in range(1, 31):
            assert asyncio.run(end_of_one(port, turns)) == set()
    assert caplog.text == ""
