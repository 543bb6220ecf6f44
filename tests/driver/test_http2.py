"""What there is on HTTP/2 alone: many streams, their windows, and who delays whom."""

from math import inf

import anyio
import pytest
from h2.errors import ErrorCodes
from tests.driver.harness import adopted, in_thread, kernel_accepted, standstill, until, within_bound
from tests.driver.net import TRANSPORTS, Net
from tests.properties.frames import FrameWalker

from httpng_core import Request, SendResult
from httpng_driver import IO

HTTP2 = [each for each in TRANSPORTS if each.http2]
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("transport", HTTP2, ids=str, indirect=True)]

BIG = bytes(range(251)) * 40_000


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


async def test_a_response(net: Net) -> None:
    async def handler(req: Request, io: IO) -> object:
        return {"body": f"{req.path} {req.version_major} {req.https}", "headers": {"X-A": "b"}}

    async with net.serving(handler) as server, net.connect2(server) as client:
        received = await in_thread(client.get, "/a")
    assert received.status == 200
    assert received.body == f"/a 2 {net.transport.tls}".encode()
    assert received.headers is not None
    assert received.headers["x-a"] == "b"
    assert "date" in received.headers


async def test_sent_is_what_the_kernel_has_of_a_stalled_client(net: Net) -> None:
    handler = Streams()
    async with net.serving(handler) as server, net.connect2(server, receive_buffer=16384) as client:
        for number in range(3):
            client.begin(f"/{number}")
        await until(lambda: len(handler.ios) == 3)
        sock = (await adopted(server, client)).socket
        for _ in range(3):
            await standstill(sock)
            accepted, sent = kernel_accepted(sock), handler.sent
            frames = FrameWalker()
            frames.feed(await in_thread(client.read_wire, accepted))
            assert sent == sum(map(len, frames.bodies.values()))
    assert len(frames.bodies) > 1


@pytest.mark.parametrize("window", [0, 1])
async def test_a_write_on_a_closed_window_times_out_with_what_was_sent(net: Net, window: int) -> None:
    handler = Streams(0.2)
    async with net.serving(handler) as server, net.connect2(server, window) as client:
        number = client.begin()
        stream = await in_thread(client.read_until, number)
    result = handler.results["/"]
    assert result is not None
    assert result.body_bytes_sent == window
    assert stream.body == BIG[:window]
    assert stream.complete


async def test_a_client_that_opens_its_window_byte_by_byte(net: Net) -> None:
    done = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        io.send_window = 0
        for piece in (b"a", b"b", b"c"):
            assert await io.write(piece) is None
            assert io.get_send_stats().sent == io.get_send_stats().current
        done.set()

    async with net.serving(handler) as server, net.connect2(server, 0) as client:
        number = client.begin()
        for size in (1, 2, 3):
            client.give(1, number)
            stream = await in_thread(client.read_until, number, size)
        await within_bound(done)
        assert stream.body == b"abc"


async def test_of_100_streams_one_stalled_the_other_99_are_unaffected(net: Net) -> None:
    handler = Streams()
    async with net.serving(handler) as server, net.connect2(server, 1000) as client:
        numbers = [client.begin(f"/{number}") for number in range(100)]
        for number in numbers[1:]:
            client.give(300_000 - 1000, number)
        for number in numbers[1:]:
            stream = await in_thread(client.read_until, number, 300_000)
            assert len(stream.body) == 300_000
        assert handler.ios["/0"].get_send_stats().sent == 1000


async def test_64_bulk_streams_share_evenly(net: Net) -> None:
    handler = Streams()
    async with net.serving(handler) as server, net.connect2(server) as client:
        numbers = [client.begin(f"/{number}") for number in range(64)]
        await until(lambda: len(handler.ios) == 64)
        streams = [client.http2.streams[number] for number in numbers]
        while not all(stream.body for stream in streams):
            await in_thread(client.receive)
        # The first ones had the connection to themselves for a moment.
        before = [len(stream.body) for stream in streams]
        await in_thread(client.read_until, numbers[0], before[0] + 1_000_000)
    shares = [len(stream.body) - start for stream, start in zip(streams, before, strict=True)]
    assert min(shares) >= 0.95 * max(shares)


async def test_a_reset_of_one_stream_leaves_the_others(net: Net) -> None:
    handler = Streams()
    async with net.serving(handler) as server, net.connect2(server, 1000) as client:
        one, two = client.begin("/1"), client.begin("/2")
        await in_thread(client.read_until, one, 1000)
        client.http2.h2.reset_stream(one)
        client.say()
        await until(lambda: "/1" in handler.results)
        client.give(1000, two)
        await in_thread(client.read_until, two, 2000)
    result = handler.results["/1"]
    assert result is not None
    assert result.cancelled


async def test_shutdown_says_goodbye_and_lets_streams_end(net: Net) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def handler(req: Request, io: IO) -> object:
        begun.set()
        await within_bound(go_on)
        return "ok"

    async with net.serving(handler, cancel=False) as server, net.connect2(server) as client:
        number = client.begin()
        await within_bound(begun)
        server.shutdown()
        # The first GOAWAY takes what is on its way; the second says which stream was the last.
        while client.http2.last_stream != number:
            assert await in_thread(client.receive)
        refused = await in_thread(client.read_until, client.begin("/late"))
        go_on.set()
        stream = await in_thread(client.read_until, number)
        await in_thread(client.read_to_end)
    assert stream.body == b"ok"
    assert refused.reset == ErrorCodes.REFUSED_STREAM
    assert (client.http2.goaway, client.ended) == (0, "fin")


async def test_a_cut_says_which_stream_was_the_last(net: Net) -> None:
    async def handler(req: Request, io: IO) -> None:
        await io.write("for ever")
        await io.wait_cancelled()

    async with net.serving(handler, cancel=False) as server, net.connect2(server) as client:
        number = client.begin()
        await in_thread(client.read_until, number, 8)
        # Of all this the client answers nothing.
        server.shutdown(0)
        await in_thread(client.read_to_end)
    assert (client.http2.goaway, client.http2.last_stream) == (0, number)
    assert client.ended == "reset"


async def test_an_idle_connection_is_under_the_new_timeout(net: Net) -> None:
    """Nothing comes on it that would have its loop look at it."""

    def handler(req: Request) -> str:
        return "hello"

    never = {"threads": 2, "header_timeout": inf, "keepalive_timeout": inf, "stall_timeout": inf}
    async with (
        net.serving(handler, **never) as server,
        net.connect(server) as first,
        net.connect(server) as second,
    ):
        for client in (first, second):
            assert (await in_thread(client.get)).body == b"hello"
        server.reconfigure(handler, **{**never, "keepalive_timeout": 0.05})
        for client in (first, second):
            await in_thread(client.read_to_end)
            assert client.ended == "fin"
