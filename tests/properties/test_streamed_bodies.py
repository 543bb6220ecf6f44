"""Bodies that are read while they come in: whatever the cuts, and whoever does what when, the same bytes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.driving import Driven
from tests.core.driving2 import Driven2
from tests.core.uploads.uploading import KINDS, Driven1Reading, Driven2Reading

from httpng_core import Exchange, Read
from httpng_core.testing import Http2Client

PIECES = [b"hello", b"x" * 30, b"\r\n0\r\n\r\n", b"w"]
BODY = b"".join(PIECES)
NEXT = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n"
SOCKET_READ = 65536


def wire_of(kind: str) -> bytes:
    """An upload and a request behind it, as a client sends them."""
    if kind == "length":
        return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s%s" % (len(BODY), BODY, NEXT)
    if kind == "chunked":
        chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in PIECES)
        head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + chunks + b"0\r\nx: y\r\n\r\n" + NEXT
    client = Http2Client()
    stream = client.request("/", "POST", body=None)
    for piece in PIECES:
        client.h2.send_data(stream, piece, pad_length=3)
    client.h2.send_headers(stream, [("x", "y")], end_stream=True)
    client.request("/next")
    return client.take()


def driven_of(kind: str, **settings: Any) -> Driven:
    return Driven2Reading(**settings) if kind == "http/2" else Driven1Reading(b"", **settings)


class Kernel:
    """What a client has sent, and the server takes as it likes."""

    def __init__(self, driven: Driven) -> None:
        self.driven = driven
        self.waiting = b""

    def deliver(self) -> bool:
        """The server reads once, if it wants to; tells whether it did."""
        if not self.waiting or not self.driven.connection.wants_read:
            return False
        data, self.waiting = self.waiting[:SOCKET_READ], self.waiting[SOCKET_READ:]
        self.driven.receive(data)
        return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "slow"])
@pytest.mark.parametrize("limit", [None, 7])
def test_cut_at_every_byte(kind: str, is_fast: bool, limit: int | None) -> None:
    wire = wire_of(kind)
    for cut in range(len(wire) + 1):
        # The first bytes tell which protocol it is.
        driven = Driven1Reading(b"")
        kernel, read = Kernel(driven), None
        pieces: list[bytes] = []
        for part in (wire[:cut], wire[cut:]):
            kernel.waiting += part
            while kernel.deliver():
                if is_fast and driven.exchanges:
                    read, got = _read_on(driven.exchanges[0], read, limit, driven.now)
                    pieces += got
            driven.push()
        exchange = driven.exchanges[0]
        for _ in range(len(wire)):
            read, got = _read_on(exchange, read, limit, driven.now)
            pieces += got
            if not kernel.deliver():
                break
        assert b"".join(pieces) == BODY, cut
        assert exchange.incoming is not None
        assert exchange.incoming.trailers == (() if kind == "length" else ((b"x", b"y"),))
        if kind != "http/2":
            exchange.finish(driven.now)
            driven.push()
        assert driven.exchanges[-1].request.path == "/next", cut


def _read_on(
    exchange: Exchange, read: Read | None, limit: int | None, now: float
) -> tuple[Read | None, list[bytes]]:
    """Reads what there is; tells the read that waits, and the pieces."""
    pieces: list[bytes] = []
    for _ in range(10_000):
        read = exchange.read(limit, now) if read is None else read
        if not read.settled:
            return read, pieces
        if not read.value:
            return None, pieces
        pieces.append(read.value)
        read = None
    raise AssertionError("the body has no end")


# Any order of anything --------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([1, 7, 1000, 20_000, 70_000])),
        st.tuples(st.just("read"), st.sampled_from([None, 1, 5000])),
        st.tuples(st.just("withdraw"), st.none()),
        st.tuples(st.just("advance"), st.sampled_from([0.5, 4.0, 11.0])),
        st.tuples(st.just("write"), st.sampled_from([0, 10, 100_000])),
        st.tuples(st.just("push"), st.sampled_from([0, 1, 5000, 1 << 20])),
        st.tuples(st.just("end"), st.sampled_from(["body", "answer", "fail", "refuse", "abort", "finish"])),
        st.tuples(st.just("leave"), st.sampled_from(["eof", "lost", "shut", "drain"])),
    ),
    max_size=30,
)


class Machine:
    """An upload and its handler, and what must be true of them at any time."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.driven = driven_of(kind, body_timeout=10, stall_timeout=20)
        self.kernel = Kernel(self.driven)
        self.sent = bytearray()
        self.got = bytearray()
        self.reads: list[Read] = []
        self.counted = 0
        self.is_whole = False
        self.has_left = False
        if isinstance(self.driven, Driven2):
            self.stream = self.driven.client.request("/", "POST", body=None)
            self.driven.turn()
        else:
            framing = "content-length: 1000000" if kind == "length" else "transfer-encoding: chunked"
            self.driven.receive(f"POST / HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n".encode())
        self.exchange = self.driven.exchange

    def step(self, verb: str, value: Any) -> None:
        getattr(self, f"_{verb}")(value)
        self._settle()
        self.check()

    def check(self) -> None:
        incoming = self.exchange.incoming
        assert incoming is not None
        for read in self.reads[self.counted :]:
            if read.settled:
                self.counted += 1
                if not read.failed:
                    self.got += read.value
        assert self.sent.startswith(self.got)
        held = incoming.held
        assert held <= (SOCKET_READ if self.kind != "http/2" else 256 * 1024)
        if self.kind != "http/2" and held and not self.exchange.is_over and not incoming.drops:
            assert not self.driven.connection.wants_read
        if self.exchange.is_over:
            assert all(read.settled for read in self.reads)
        if incoming.is_complete:
            assert self.is_whole

    # What may happen ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        if isinstance(self.driven, Driven2):
            if not self.has_left:
                self.driven.receive(self.driven.client.take())
        else:
            while not self.has_left and self.kernel.deliver():
                pass

    def _send(self, size: int) -> None:
        if self.is_whole or self.has_left:
            return
        data = bytes((len(self.sent) + at) % 251 for at in range(size))
        if isinstance(self.driven, Driven2):
            h2 = self.driven.client.h2
            stream = self.driven.client.streams[self.stream]
            if stream.reset is not None:
                return
            while data and (room := min(h2.local_flow_control_window(self.stream), 16384, len(data))) > 0:
                h2.send_data(self.stream, data[:room])
                self.sent += data[:room]
                data = data[room:]
            return
        if self.kind == "length":
            data = data[: 1_000_000 - len(self.sent)]
        if data:
            self.kernel.waiting += data if self.kind == "length" else b"%x\r\n%s\r\n" % (len(data), data)
            self.sent += data
        self.is_whole = self.kind == "length" and len(self.sent) == 1_000_000

    def _read(self, limit: int | None) -> None:
        if not self.reads or self.reads[-1].settled:
            self.reads.append(self.exchange.read(limit, self.driven.now))

    def _withdraw(self, _: None) -> None:
        if self.reads and not self.reads[-1].settled:
            self.exchange.withdraw(self.reads[-1], self.driven.now)

    def _advance(self, seconds: float) -> None:
        self.driven.advance(seconds)

    def _write(self, size: int) -> None:
        self.driven.write(b"y" * size, timeout=1)

    def _push(self, room: int) -> None:
        self.driven.push(room)

    def _end(self, how: str) -> None:
        exchange, now = self.exchange, self.driven.now
        if how == "body":
            self._end_body()
        elif how == "answer":
            if exchange.length is None:
                exchange.answer(200, None, b"done", now)
        elif how == "fail":
            exchange.fail(now)
        elif how == "refuse":
            exchange.refuse(413, "no", now)
        elif how == "abort":
            exchange.reset(now)
        else:
            exchange.finish(now)

    def _end_body(self) -> None:
        if self.is_whole or self.has_left or self.kind == "length":
            return
        if isinstance(self.driven, Driven2):
            if self.driven.client.streams[self.stream].reset is not None:
                return
            self.driven.client.h2.end_stream(self.stream)
        else:
            self.kernel.waiting += b"0\r\n\r\n"
        self.is_whole = True

    def _leave(self, how: str) -> None:
        connection, now = self.driven.connection, self.driven.now
        if how == "drain":
            connection.drain(now)
        elif how == "shut":
            connection.receive_eof(now, unread=True)
        elif not self.has_left:
            self._settle()
            self.has_left = True
            connection.connection_lost(now) if how == "lost" else connection.receive_eof(now)
        while (event := connection.next_event()) is not None:
            self.driven.events.append(event)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_any_order_of_anything(kind: str, steps: list[tuple[str, Any]]) -> None:
    machine = Machine(kind)
    for verb, value in steps:
        machine.step(verb, value)
    # Who reads on without an early end has all that was sent.
    was_left = machine.exchange.is_over or machine.has_left
    for _ in range(1000):
        if was_left or machine.exchange.is_over:
            break
        before = len(machine.got)
        machine.step("read", None)
        if len(machine.got) == before:
            break
    incoming = machine.exchange.incoming
    assert incoming is not None
    if not was_left and incoming.error is None and not incoming.drops:
        assert machine.got == machine.sent
    machine.driven.connection.connection_lost(machine.driven.now)
    assert machine.exchange.is_over
    assert all(read.settled for read in machine.reads)
