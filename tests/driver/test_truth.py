"""`sent` is what the kernel says: the test reads the kernel's count and maps wire bytes back itself."""

import logging
import random
import socket
from collections.abc import Callable
from uuid import uuid4

import anyio
import pytest
from tests.driver.harness import (
    Client,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    send_queue,
    standstill,
    within_bound,
)
from tests.driver.net import TRANSPORTS, Net

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

LENGTH = 1 << 30
HTTP1 = [each for each in TRANSPORTS if not each.http2]


class Writer:
    """A handler that writes pieces until it is told to stop, or its client is gone."""

    def __init__(self, sizes: Callable[[], int], *, window: int, length: int | None = None) -> None:
        self._sizes = sizes
        self._window = window
        self._length = length
        self.io: IO | None = None
        self.started = anyio.Event()

    async def __call__(self, req: Request, io: IO) -> None:
        self.io = io
        io.send_window = self._window
        if self._length is not None:
            io.headers["content-length"] = self._length
        self.started.set()
        while True:
            size = self._sizes()
            result = await io.write(b"x" * size, timeout=0.01 if size > self._window else 60)
            if result is not None and result.cancelled:
                return

    @property
    def sent(self) -> int:
        assert self.io is not None
        return self.io.get_send_stats().sent


def tiny() -> int:
    return 7


def medium() -> int:
    return 5_000


def longer_than_the_window() -> int:
    return 300_000


def mixed(seed: int) -> Callable[[], int]:
    chance = random.Random(seed)
    return lambda: int(2 ** chance.uniform(0, 16))


@pytest.mark.parametrize(
    ("length", "sizes", "window"),
    [
        pytest.param(None, tiny, 4096, id="tiny"),
        pytest.param(None, medium, 64 * 1024, id="medium"),
        pytest.param(None, longer_than_the_window, 64 * 1024, id="long"),
        pytest.param(None, longer_than_the_window, 0, id="window-0"),
        pytest.param(None, mixed(1), 1 << 20, id="mixed"),
        pytest.param(LENGTH, mixed(2), 20_000, id="length-mixed"),
        pytest.param(LENGTH, longer_than_the_window, 1 << 20, id="length-long"),
    ],
)
async def test_sent_is_what_the_kernel_has_accepted(
    net: Net, length: int | None, sizes: Callable[[], int], window: int
) -> None:
    await check_sent(net, length, sizes, window)


@pytest.mark.parametrize("transport", HTTP1, ids=str, indirect=True)
async def test_sent_is_what_the_kernel_has_accepted_of_http_1_0(net: Net) -> None:
    await check_sent(net, None, mixed(3), 64 * 1024, raw=b"GET / HTTP/1.0\r\n\r\n")


async def check_sent(
    net: Net, length: int | None, sizes: Callable[[], int], window: int, raw: bytes | None = None
) -> None:
    """Compares at several standstills of a client that reads in fits and starts."""
    chance = random.Random(window)
    handler = Writer(sizes, window=window, length=length)
    told: list[tuple[int, int]] = []
    async with net.serving(handler) as server, net.connect(server, receive_buffer=16384) as client:
        client.send(client.prepare() if raw is None else raw)
        await within_bound(handler.started)
        sock = (await adopted(server, client)).socket
        for _ in range(4):
            await standstill(sock)
            told.append((kernel_accepted(sock), handler.sent))
            # The client reads a random part of what is there, and stops again.
            await in_thread(client.read_wire, client.read + chance.randrange(1, 60_000))
        told.append((kernel_accepted(sock), handler.sent))
        await in_thread(client.read_wire, told[-1][0])
        carried = [client.carried(accepted) for accepted, _ in told]
    assert [sent for _, sent in told] == [net.body_size(wire) for wire in carried]
    assert len({sent for _, sent in told}) > 1, "the client has read in between"


async def test_sent_is_true_also_for_the_second_response_of_a_connection(net: Net) -> None:
    """The wire log counts from the start of the connection, positions from the start of each body."""
    handler = Writer(medium, window=64 * 1024)

    async def serve(req: Request, io: IO) -> object:
        if req.path == "/first":
            return {"body": "a body of the first response"}
        await handler(req, io)
        return None

    async with net.serving(serve) as server, net.connect(server, receive_buffer=16384) as client:
        first = await in_thread(client.get, "/first")
        client.request()
        await within_bound(handler.started)
        sock = (await adopted(server, client)).socket
        await standstill(sock)
        accepted, sent = kernel_accepted(sock), handler.sent
        wire = await in_thread(client.read_wire, accepted)
    assert first.body == b"a body of the first response"
    assert sent == net.body_size(wire)


async def test_the_kernel_does_not_hoard(net: Net) -> None:
    handler = Writer(medium, window=8 << 20)
    async with net.serving(handler) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        sock = (await adopted(server, client)).socket
        await standstill(sock)
        held = send_queue(sock)
    assert 0 < held < 256 * 1024


async def test_without_the_low_water_mark_it_does(serving: Serving) -> None:
    """So the test above can fail."""
    handler = Writer(medium, window=8 << 20)
    async with serving(handler, notsent_lowat=0) as server:
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.request()
            sock = (await adopted(server, client)).socket
            await standstill(sock)
            held = send_queue(sock)
    assert held > 1 << 20


@pytest.mark.parametrize("lowat", [16384, 4096])
async def test_accepted_sockets_have_their_options(serving: Serving, lowat: int) -> None:
    async with serving(lambda req: "", notsent_lowat=lowat) as server:
        with Client(server.addresses[0]) as client:
            sock = (await adopted(server, client)).socket
            options = [
                sock.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_NOTSENT_LOWAT, socket.TCP_NODELAY)
            ]
            assert not sock.getblocking()
    assert options == [lowat, 1]


class _WithoutLowat(socket.socket):
    refusal = ""

    def setsockopt(self, *args: object) -> None:
        if args[1] == socket.TCP_NOTSENT_LOWAT:
            raise OSError(92, self.refusal)
        super().setsockopt(*args)  # type: ignore[call-overload]


async def test_one_warning_where_the_low_water_mark_can_not_be_set(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # There is one warning for each reason in a process: here it is another one each time.
    monkeypatch.setattr(_WithoutLowat, "refusal", f"Protocol not available ({uuid4()})")
    monkeypatch.setattr(socket, "socket", _WithoutLowat)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with serving(lambda req: "served", listen=["127.0.0.1:0", "localhost:0"]) as server:
                with Client(server.addresses[0]) as client:
                    received = await in_thread(client.ask)
            assert received.body == b"served"
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "TCP_NOTSENT_LOWAT" in warnings[0]
    assert _WithoutLowat.refusal in warnings[0]
