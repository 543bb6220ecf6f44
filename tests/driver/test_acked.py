"""Acknowledged bytes over real sockets: never too many, always all in the end, on every loop."""

import json
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.driver.harness import Observed, in_thread, pumps_of, serving_on, turns_of, within_bound
from tests.driver.net import TRANSPORTS, Net

from httpng_core import CertificateFiles, Request, SendStats, reached
from httpng_driver import IO, Server
from httpng_driver.loop import unacknowledged


async def test_acked_never_exceeds_what_the_client_received_and_reaches_all(net: Net) -> None:
    told: list[SendStats] = []

    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        io.window_until = "acked"
        io.send_window = 50_000
        chance = random.Random(7)
        for _ in range(60):
            await io.write(b"x" * chance.randrange(1, 60_000), 20)
            told.append(io.get_send_stats())
        assert reached(await io.wait(0, 20, "acked"))
        return io.get_send_stats()

    async with (
        net.serving(handler) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        tasks: Any
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, client.read_body, 10**9)
            last = await handler.outcome()
    assert last.acked == last.sent == last.current
    acked = [each.acked or 0 for each in told]
    assert acked == sorted(acked)
    assert all(each.acked is not None and each.acked <= each.sent for each in told)
    # The window held: what was accepted and not acknowledged is at most the window, plus one frame.
    assert max(each.current - (each.acked or 0) for each in told) <= 50_000 + 65536


async def test_acked_stands_still_below_sent_while_the_client_does_not_read(net: Net) -> None:
    timed_out, go_on = anyio.Event(), anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> tuple[SendStats, SendStats]:
        short = await io.wait(0, 0, "acked")
        assert reached(short)
        await io.write(b"x" * 400_000, 0.2)
        before = io.get_send_stats()
        timed_out.set()
        await within_bound(go_on)
        assert reached(await io.wait(0, 20, "acked"))
        await io.close()
        return before, io.get_send_stats()

    async with (
        net.serving(handler, default_send_window=1000) as server,
        net.connect(server, receive_buffer=4096) as client,
    ):
        client.request()
        await within_bound(timed_out)
        (pump,) = pumps_of(server)
        assert (unacknowledged(pump.socket) or 0) > 0
        go_on.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, client.read_body, 10**9)
            before, after = await handler.outcome()
    assert before.acked is not None
    assert before.acked < before.sent
    assert after.acked == after.sent == after.current == before.current


SO_TIMESTAMPING = 37
setsockopt = socket.socket.setsockopt


def without_events(sock: socket.socket, level: int, option: int, value: Any) -> None:
    """A kernel that doesn't report what is acknowledged."""
    if option == SO_TIMESTAMPING:
        raise OSError(92, "Protocol not available")
    setsockopt(sock, level, option, value)


@pytest.mark.parametrize("events", [True, False])
async def test_a_wait_until_acked_ends_with_events_and_by_polling(
    net: Net, events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not events:
        monkeypatch.setattr(socket.socket, "setsockopt", without_events)

    @Observed
    async def handler(req: Request, io: IO) -> list[bool]:
        await io.write(b"x" * 10_000)
        first = reached(await io.wait(10_000, 10, "acked"))
        await io.write(b"y" * 10_000)
        return [first, reached(await io.wait(0, 10, "acked"))]

    async with (
        net.serving(handler) as server,
        net.connect(server) as client,
    ):
        client.request()
        await in_thread(client.read_body, 20_000)
        assert await handler.outcome() == [True, True]


async def test_an_idle_stream_that_tracks_acknowledgements_does_not_spin(net: Net) -> None:
    servers: list[Server] = []

    @Observed
    async def handler(req: Request, io: IO) -> int:
        io.window_until = "acked"
        await io.write(b"x" * 100)
        assert reached(await io.wait(0, 10))
        await anyio.sleep(0.05)
        before = turns_of(servers[0])
        await anyio.sleep(0.3)
        return turns_of(servers[0]) - before

    async with net.serving(handler) as server:
        servers.append(server)
        async with net.connect(server) as client:
            client.request()
            await in_thread(client.read_body, 100)
            assert await handler.outcome() <= 3


async def told_of_asking(net: Net) -> str:
    """What a handler is told that waits for acknowledgements."""

    @Observed
    async def handler(req: Request, io: IO) -> str:
        try:
            await io.wait(0, 1, "acked")
        except Exception as error:
            return str(error)
        return "no error"

    async with (
        net.serving(handler) as server,
        net.connect(server) as client,
    ):
        client.request()
        return await handler.outcome()


async def print_what_is_told(backend: str, files: Sequence[str]) -> None:
    for transport in TRANSPORTS:
        print(transport, await told_of_asking(Net(serving_on(backend), transport, CertificateFiles(*files))))


ELSEWHERE = """
import json, sys
import anyio, asyncio, trio, uvloop

# For the driver alone, what asks the kernel isn't there.
sys.modules["fcntl"] = None
import httpng_driver
del sys.modules["fcntl"]
from tests.driver.test_acked import print_what_is_told

(backend, options), files = json.loads(sys.argv[1])
anyio.run(print_what_is_told, backend, files, backend=backend, backend_options=options)
"""


def test_where_the_platform_cannot_tell_asking_is_an_error(
    anyio_backend: tuple[str, dict[str, object]], pair: CertificateFiles
) -> None:
    files = (pair.certificate_file, pair.certificate_key_file)
    command = [sys.executable, "-c", ELSEWHERE, json.dumps([anyio_backend, files])]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    told = "what a client has acknowledged can't be told on this platform"
    assert (run.stdout.splitlines(), run.stderr) == ([f"{one} {told}" for one in TRANSPORTS], "")
