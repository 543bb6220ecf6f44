"""A client that stops reading: what a timed-out write reports is what the client decodes, to the byte."""

import anyio
import pytest
from tests.driver.harness import adopted, in_thread, within_bound
from tests.driver.net import CLOSED_WINDOWS, TRANSPORTS, Net

from httpng_core import Request, SendResult
from httpng_driver import IO

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("transport", TRANSPORTS + CLOSED_WINDOWS, ids=str, indirect=True),
]

RECEIVE_BUFFER = 65536
WINDOW = 64 * 1024
FIRST = b"the first bytes, which have room"
BIG = bytes(range(251)) * (9_000_000 // 251)


class Handler:
    """Writes FIRST and BIG, the latter with a timeout; then waits until the client has read what it got."""

    def __init__(self, *, length: int | None = None, close: bool = True) -> None:
        self.length = length
        self.close = close
        self.results: list[SendResult | None] = []
        self.timed_out = anyio.Event()
        self.client_has_read = anyio.Event()
        self.over = anyio.Event()

    async def __call__(self, req: Request, io: IO) -> None:
        if self.length is not None:
            io.headers["content-length"] = self.length
        self.results.append(await io.write(FIRST))
        self.results.append(await io.write(BIG, timeout=0.3))
        self.timed_out.set()
        await within_bound(self.client_has_read)
        if self.close:
            await io.close()
        self.over.set()

    @property
    def accepted(self) -> int:
        """What the second write reported."""
        first, second = self.results
        assert first is None
        assert second is not None
        assert not second.cancelled
        assert second.headers_were_sent
        return second.body_bytes_sent


@pytest.mark.parametrize("window", [WINDOW, 1, 0])
async def test_a_chunked_body_ends_where_the_write_did(net: Net, window: int) -> None:
    handler = Handler()
    async with (
        net.serving(handler, default_send_window=window) as server,
        net.connect(server, receive_buffer=RECEIVE_BUFFER) as client,
    ):
        client.request()
        await in_thread(client.stall)
        await within_bound(handler.timed_out)
        handler.client_has_read.set()
        await within_bound(handler.over)
        received = await in_thread(client.read_response)
    assert handler.accepted > RECEIVE_BUFFER / 2, "the kernel had room for a part"
    assert received.body == FIRST + BIG[: handler.accepted]
    assert received.complete
    assert client.surplus == b""


@pytest.mark.parametrize("window", [WINDOW, 1, 0])
async def test_a_body_of_declared_length_is_cut_short_where_the_write_ended(net: Net, window: int) -> None:
    handler = Handler(length=len(FIRST) + len(BIG), close=False)
    async with (
        net.serving(handler, default_send_window=window) as server,
        net.connect(server, receive_buffer=RECEIVE_BUFFER) as client,
    ):
        client.request()
        await in_thread(client.stall)
        await within_bound(handler.timed_out)
        received = await in_thread(client.read_body, len(FIRST) + handler.accepted)
        handler.client_has_read.set()
        cut = await in_thread(client.read_response)
    assert received.body == cut.body == FIRST + BIG[: handler.accepted]
    assert not cut.complete
    assert client.was_cut_short


async def test_a_declared_length_that_is_not_reached_is_cut_short_also_after_close(net: Net) -> None:
    handler = Handler(length=len(FIRST) + len(BIG))
    async with (
        net.serving(handler, default_send_window=WINDOW) as server,
        net.connect(server, receive_buffer=RECEIVE_BUFFER) as client,
    ):
        client.request()
        await in_thread(client.stall)
        await within_bound(handler.timed_out)
        received = await in_thread(client.read_body, len(FIRST) + handler.accepted)
        handler.client_has_read.set()
        await in_thread(client.read_response)
    assert received.body == FIRST + BIG[: handler.accepted]
    assert client.was_cut_short


async def test_the_handler_goes_on_with_the_rest(net: Net) -> None:
    """`body[n:]` is what the client has not got: no byte is lost and none comes twice."""

    async def handler(req: Request, io: IO) -> None:
        rest = BIG
        while (result := await io.write(rest, timeout=0.02)) is not None:
            assert not result.cancelled
            rest = rest[result.body_bytes_sent :]

    async with (
        net.serving(handler, default_send_window=WINDOW) as server,
        net.connect(server, receive_buffer=RECEIVE_BUFFER) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        await net.standstill(pump, client)
        received = await in_thread(client.read_response)
    assert received.body == BIG
    assert received.complete


@pytest.mark.parametrize(("window", "size"), [(WINDOW, WINDOW), (WINDOW, 10_000), (2048, 1)])
async def test_a_body_no_longer_than_the_window_goes_whole_or_not_at_all(
    net: Net, window: int, size: int
) -> None:
    written: list[bytes] = []
    refused: list[SendResult] = []
    over = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        # First fills what the kernel has room for: with bodies of one byte that would take long.
        result = await io.write(BIG, timeout=0.1)
        assert result is not None
        written.append(BIG[: result.body_bytes_sent])
        while len(refused) < 3:
            record = bytes([len(written) % 256]) * size
            result = await io.write(record, timeout=0.1)
            if result is None:
                written.append(record)
            else:
                refused.append(result)
        await io.close()
        over.set()

    async with (
        net.serving(handler, default_send_window=window) as server,
        net.connect(server, receive_buffer=RECEIVE_BUFFER) as client,
    ):
        client.request()
        await within_bound(over)
        received = await in_thread(client.read_response)
    assert [result.body_bytes_sent for result in refused] == [0, 0, 0]
    # Of the frame that the kernel has cut there may be more left than a small window allows.
    assert len(written) > 1 or window - size < 1 << 14
    assert received.body == b"".join(written)
    assert received.complete
