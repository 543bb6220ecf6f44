"""How a connection to NATS ends, by a server that says no more than a client wants to hear."""

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from typing import Any

import nats.errors
import pytest
from tests.brokers.servers import BOUND

from httpng.feeds.nats_client import Client, End

AT_ONCE = struct.pack("ii", 1, 0)
"""A socket that is closed with this linger resets its connection."""


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a client until it is connected, and reset the connection."""
    writer.write(b'INFO {"server_id": "a", "version": "2.9.10", "max_payload": 1000}\r\n')
    while await reader.readline() != b"PING\r\n":
        pass
    writer.write(b"PONG\r\n")
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()


async def end_of_one(port: int, turns: int) -> None:
    """Be told of a reset while something is published every so many turns of the loop."""
    end, client = End(), Client()
    await client.connect(
        f"nats://127.0.0.1:{port}",
        allow_reconnect=False,
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


def test_it_is_told_that_a_connection_was_reset_whatever_waits_to_be_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def all_ends() -> set[asyncio.Task[Any]]:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for turns in range(1, 21):
                await end_of_one(port, turns)
        return asyncio.all_tasks() - {asyncio.current_task()}

    with caplog.at_level(logging.ERROR, "asyncio"):
        assert asyncio.run(all_ends()) == set()
    assert caplog.text == ""
