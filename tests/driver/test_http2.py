"""HTTP/2 by prior knowledge over real sockets: what `sent` says, and who delays whom."""

import anyio
import pytest
from tests.driver.harness import (
    Client,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    standstill,
    until,
    within_bound,
)

from httpng_core import ListenAddress, Request, SendResult
from httpng_core.protocols.http2_client import Http2Client, ReceivedStream
from httpng_driver import IO

pytestmark = pytest.mark.anyio

BIG = bytes(range(251)) * 40_000


class Client2(Client):
    """A client that speaks HTTP/2; its windows are in the hands of the test."""

    def __init__(
        self,
        address: ListenAddress,
        window: int = 65535,
        *,
        reads: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(address, receive_buffer=receive_buffer)
        self.http2 = Http2Client(window, reads=reads)
        self.fed = 0

    def __enter__(self) -> "Client2":
        return self

    def request(self, path: str = "/") -> int:
        """Sends a request; tells its stream id."""
        number = self.http2.request(path)
        self.say()
        return number

    def say(self) -> None:
        """Sends what there is to say: requests, windows, answers."""
        self.send(self.http2.take())

    def give(self, size: int, number: int | None = None) -> None:
        """Gives room to a stream, or to the connection."""
        self.http2.give(size, number)
        self.say()

    def read_on(self, limit: int = 1 << 16) -> bool:
        """Reads what there is, or waits for some; whether it isn't the end."""
        self.receive(limit)
        data, self.fed = bytes(self.wire[self.fed :]), len(self.wire)
        self.http2.receive(data)
        if not self.ended:
            self.say()
        return not self.ended

    def read_until(self, number: int, size: int | None = None) -> ReceivedStream:
        """Reads until `size` body bytes of a stream have come, or its end."""
        stream = self.http2.streams[number]
        while not stream.complete and stream.reset is None and (size is None or len(stream.body) < size):
            assert self.read_on()
        return stream


class Streams:
    """A handler that writes BIG in one long write on each stream, with a timeout; keeps each `io`."""

    def __init__(self, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.ios: dict[str, IO] = {}
        self.results: dict[str, SendResult | None] = {}

    async def __call__(self, req: Request, io: IO) -> None:
        io.send_window = 0
        self.ios[req.path] = io
        self.results[req.path] = await io.write(BIG, self.timeout)
        await io.close()

    @property
    def sent(self) -> int:
        return sum(io.get_send_stats().sent for io in self.ios.values())


async def test_a_response(serving: Serving) -> None:
    async def handler(req: Request, io: IO) -> object:
        return {"body": f"{req.path} {req.version_major}", "headers": {"X-A": "b"}}

    async with serving(handler) as server:
        with Client2(server.addresses[0]) as client:
            number = client.request("/a")
            stream = await in_thread(client.read_until, number)
    assert stream.status == 200
    assert stream.body == b"/a 2"
    assert stream.headers["x-a"] == "b"
    assert "date" in stream.headers


async def test_sent_is_what_the_kernel_has_of_a_stalled_client(serving: Serving) -> None:
    handler = Streams()
    async with serving(handler) as server:
        with Client2(server.addresses[0], 1 << 24, reads=False, receive_buffer=16384) as client:
            client.give(1 << 24)
            numbers = [client.request(f"/{number}") for number in range(3)]
            await until(lambda: len(handler.ios) == 3)
            sock = (await adopted(server, client)).socket
            for _ in range(3):
                await standstill(sock)
                accepted, sent = kernel_accepted(sock), handler.sent
                wire = await in_thread(client.read_wire, accepted)
                copy = Http2Client(1 << 24, reads=False)
                copy.give(1 << 24)
                for number in numbers:
                    assert copy.request(f"/{number}") == number
                copy.receive(wire)
                received = sum(len(stream.body) for stream in copy.streams.values())
                # Bytes of a frame of which the kernel has taken a part are sent, but not decoded.
                assert 0 <= sent - received <= 16384
                assert sent == received + partial_body(wire)


def partial_body(wire: bytes) -> int:
    """How many body bytes are in the last frame, if that isn't whole."""
    at = 0
    while at + 9 <= len(wire):
        size, is_data = int.from_bytes(wire[at : at + 3]), wire[at + 3] == 0
        if at + 9 + size > len(wire):
            return len(wire) - at - 9 if is_data else 0
        at += 9 + size
    return 0


@pytest.mark.parametrize("window", [0, 1])
async def test_a_write_on_a_closed_window_times_out_with_what_was_sent(serving: Serving, window: int) -> None:
    handler = Streams(0.2)
    async with serving(handler) as server:
        with Client2(server.addresses[0], window, reads=False) as client:
            number = client.request()
            stream = await in_thread(client.read_until, number)
    result = handler.results["/"]
    assert result is not None
    assert result.body_bytes_sent == window
    assert stream.body == BIG[:window]
    assert stream.complete


async def test_a_client_that_opens_its_window_byte_by_byte(serving: Serving) -> None:
    done = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        io.send_window = 0
        for piece in (b"a", b"b", b"c"):
            assert await io.write(piece) is None
            assert io.get_send_stats().sent == io.get_send_stats().current
        done.set()

    async with serving(handler) as server:
        with Client2(server.addresses[0], 0, reads=False) as client:
            number = client.request()
            for size in (1, 2, 3):
                client.give(1, number)
                stream = await in_thread(client.read_until, number, size)
            await within_bound(done)
            assert stream.body == b"abc"


async def test_of_100_streams_one_stalled_the_other_99_are_unaffected(serving: Serving) -> None:
    handler = Streams()
    async with serving(handler) as server:
        with Client2(server.addresses[0], 1000, reads=False) as client:
            client.give(1 << 30)
            numbers = [client.request(f"/{number}") for number in range(100)]
            for number in numbers[1:]:
                client.give(1_000_000 - 1000, number)
            for number in numbers[1:]:
                stream = await in_thread(client.read_until, number, 1_000_000)
                assert len(stream.body) == 1_000_000
            assert handler.ios["/0"].get_send_stats().sent == 1000


async def test_64_bulk_streams_share_evenly(serving: Serving) -> None:
    handler = Streams()
    async with serving(handler) as server:
        with Client2(server.addresses[0], 1 << 30, reads=False) as client:
            client.give(1 << 30)
            numbers = [client.request(f"/{number}") for number in range(64)]
            await until(lambda: len(handler.ios) == 64)
            streams = [client.http2.streams[number] for number in numbers]
            while not all(stream.body for stream in streams):
                await in_thread(client.read_on)
            # The first ones had the connection to themselves for a moment.
            before = [len(stream.body) for stream in streams]
            await in_thread(client.read_until, numbers[0], before[0] + 1_500_000)
    shares = [len(stream.body) - start for stream, start in zip(streams, before, strict=True)]
    assert min(shares) >= 0.95 * max(shares)


async def test_a_reset_of_one_stream_leaves_the_others(serving: Serving) -> None:
    handler = Streams()
    async with serving(handler) as server:
        with Client2(server.addresses[0], 1000, reads=False) as client:
            one, two = client.request("/1"), client.request("/2")
            await in_thread(client.read_until, one, 1000)
            client.http2.h2.reset_stream(one)
            client.say()
            await until(lambda: "/1" in handler.results)
            client.give(1000, two)
            await in_thread(client.read_until, two, 2000)
    result = handler.results["/1"]
    assert result is not None
    assert result.cancelled


async def test_shutdown_says_goodbye_and_lets_streams_end(serving: Serving) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> object:
        begun.set()
        await within_bound(go_on)
        return "ok"

    async with serving(handler, cancel=False) as server:
        with Client2(server.addresses[0]) as client:
            number = client.request()
            await within_bound(begun)
            server.shutdown()
            go_on.set()
            stream = await in_thread(client.read_until, number)
            while client.http2.goaway is None:
                assert await in_thread(client.read_on)
    assert stream.body == b"ok"
    assert client.http2.goaway == 0
