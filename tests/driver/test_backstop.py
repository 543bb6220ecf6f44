"""The kernel's backstop: `TCP_USER_TIMEOUT` is set while we would give the client up, and only then."""

import ctypes
import fcntl
import socket
import struct
from contextlib import closing
from math import inf
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Observed, Serving, adopted, in_thread, standstill, until

from httpng_core import Request
from httpng_driver import IO
from httpng_driver.loop import give_up_after, since_last_sent, unacknowledged

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs TCP_USER_TIMEOUT")

_SO_ATTACH_FILTER = 26


def user_timeout(sock: socket.socket) -> int:
    """Milliseconds; 0: the system's default."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def vanish(client: Client) -> None:
    """From now on the client's TCP gets nothing, so it acknowledges nothing and says nothing."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    client.socket.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop_all))
    )


def is_known_to_the_kernel(server_port: int, client_port: int) -> bool:
    """Whether the server's end of a connection still exists, with or without a process that has it."""
    ports = f":{server_port:04X}", f":{client_port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split()[1:4] for line in table]
    return any(row[0].endswith(ports[0]) and row[1].endswith(ports[1]) for row in rows if row[2] != "06")


# When it is set -------------------------------------------------------------------------------------------


async def test_a_handler_that_waits_for_ever_on_a_stalled_client_is_left_alone(serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"x" * 10_000_000, inf)

    async with serving(handler) as server:
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.send(GET)
            pump = await adopted(server, client)
            await standstill(pump.socket)
            assert pump.connection.wants_write
            assert user_timeout(pump.socket) == 0


async def test_it_is_set_while_bytes_of_a_handler_with_a_stall_timeout_are_in_flight(
    serving: Serving,
) -> None:
    go_on = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        io.stall_timeout = 7
        await io.write(b"x" * 10_000_000, inf)
        await go_on.wait()

    async with serving(handler) as server:
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.send(GET)
            pump = await adopted(server, client)
            await until(lambda: user_timeout(pump.socket) >= 12_000)
            await in_thread(client.read_body, 10_000_000)
            # All is sent: by that count there is nothing that has to move.
            await until(lambda: user_timeout(pump.socket) == 0)
            go_on.set()


async def test_until_acked_it_is_set_all_the_time(serving: Serving) -> None:
    go_on = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        io.stall_timeout, io.window_until = 7, "acked"
        await io.write(b"tick")
        await go_on.wait()

    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await in_thread(client.read_body, 4)
            pump = await adopted(server, client)
            await until(lambda: 12_000 <= user_timeout(pump.socket) < 13_000)
            go_on.set()


async def test_it_is_set_in_the_flush_and_not_before_the_next_request(serving: Serving) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"x" * 1_000_000)

    async with serving(handler, default_send_window=1 << 20, stall_timeout=20) as server:
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.send(GET)
            await handler.outcome()
            pump = await adopted(server, client)
            await until(lambda: user_timeout(pump.socket) >= 25_000)
            await in_thread(client.read_response)
            await until(lambda: user_timeout(pump.socket) == 0)


async def test_without_a_stall_timeout_it_is_never_set(serving: Serving) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"x" * 1_000_000)

    async with serving(handler, default_send_window=1 << 20, stall_timeout=inf) as server:
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.send(GET)
            await handler.outcome()
            pump = await adopted(server, client)
            await standstill(pump.socket)
            assert user_timeout(pump.socket) == 0


# What the value is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "given"), [(30.0, 35_000), (0.5, 5_500), (1e9, 2**31 - 1), (1e308, 2**31 - 1), (inf, 0)]
)
def test_the_value_is_later_than_our_own(seconds: float, given: int) -> None:
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
        give_up_after(sock, seconds)
        assert user_timeout(sock) == given


class Silent(socket.socket):
    """A socket whose client has acknowledged nothing for a minute; all that TCP_INFO tells is 60,000."""

    def getsockopt(self, *args: int) -> Any:
        if args[1] == socket.TCP_INFO:
            return struct.pack("I", 60_000) * (args[2] // 4)
        return super().getsockopt(*args)


def test_what_was_waited_before_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, request, buffer: struct.pack("i", 1))
    with closing(Silent()) as sock:
        assert (unacknowledged(sock), since_last_sent(sock)) == (1, 60_000)
        give_up_after(sock, 30)
        assert user_timeout(sock) == 95_000


def test_nothing_happens_where_it_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        give_up_after(sock, 30)
        assert since_last_sent(sock) == 0
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    with closing(socket.socket()) as sock:
        give_up_after(sock, 30)


# What it does, in real seconds ----------------------------------------------------------------------------


@pytest.mark.soak
async def test_the_kernel_forgets_a_vanished_client_of_a_closed_connection(serving: Serving) -> None:
    go_on = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        await io.write_header(200, {"connection": "close"})
        await go_on.wait()
        await io.write(b"the last bytes")

    async with serving(handler, stall_timeout=1) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await in_thread(client.receive)
            vanish(client)
            go_on.set()
            ports = server.addresses[0].port, client.port
            # After 5 s of lingering nobody has the socket; by default Linux keeps it for minutes.
            await until(lambda: server.connections == 0)
            assert is_known_to_the_kernel(*ports)
            await until(lambda: not is_known_to_the_kernel(*ports))


@pytest.mark.soak
async def test_we_give_a_vanished_client_up_before_the_kernel_does(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> str:
        io.stall_timeout, io.window_until = 1, "acked"
        await io.write(b"first")
        await go_on.wait()
        await io.write(b"second")
        await io.wait_cancelled()
        return "cancelled"

    caplog.set_level("INFO", "httpng.access")
    async with serving(handler, access_log=True) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await in_thread(client.read_body, 5)
            vanish(client)
            go_on.set()
            assert await handler.outcome() == "cancelled"
            await until(lambda: "reset" in caplog.text)
