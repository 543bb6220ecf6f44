"""Any order of everything that can happen to one HTTP/2 connection, against a client that is strict.

The client is h2's: it refuses a frame that its windows have no room for. What the kernel took is read off
frame heads by a walker that knows nothing else. The rest of the model is what handlers were told.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from h2.exceptions import FlowControlError
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.properties.frames import FrameWalker
from tests.properties.model import Call

from httpng_core import (
    Connection,
    ContentLengthError,
    Exchange,
    ExchangeEnded,
    Feed,
    Pending,
    Readiness,
    RequestReceived,
    SendStats,
    Settings,
)
from httpng_core.testing import Clock, Http2Client

STALL = 5.0
INK = random.Random(7).randbytes(1 << 17)
sizes = st.one_of(st.integers(0, 12), st.sampled_from([99, 101, 300, 16384, 20_001, 70_000]))
picks = st.integers(0, 1 << 16)


@dataclass(eq=False)
class Stream:
    """An exchange by the model."""

    number: int
    exchange: Exchange
    method: str
    calls: list[Call] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    followed: bool = False
    returned: bytes = b""
    failed: bool = False
    outcome: str | None = None
    stats: SendStats | None = None

    @property
    def drops(self) -> bool:
        return self.method == "HEAD"

    def accepted(self, current: int) -> bytes:
        """The body that went in, by what the calls report; of the first that waits, what is left."""
        left = current - sum(call.reported for call in self.calls if call.settled)
        pieces = []
        for call in self.calls:
            pieces.append(call.body[: call.reported] if call.settled else call.body[:left])
            left -= 0 if call.settled else len(pieces[-1])
        assert 0 <= left <= len(self.returned), "current isn't the sum of what the calls report"
        return b"".join(pieces) + self.returned[:left]


class Http2Machine(RuleBasedStateMachine):
    """Every rule is one thing that a client, a kernel, time or a handler does."""

    most = 64 * 1024

    @initialize(
        window=st.sampled_from([0, 1, 100, 65535, 1 << 20]), send_window=st.sampled_from([0, 100, 1 << 20])
    )
    def start(self, window: int, send_window: int) -> None:
        self.settings = Settings(
            default_send_window=send_window, default_send_timeout=2.0, stall_timeout=STALL
        )
        self.clock = Clock()
        self.ink = 0
        self.connection = Connection(self.settings, self.clock())
        self.client = Http2Client(window, reads=False)
        self.walker = FrameWalker()
        self.streams: list[Stream] = []
        self.methods: dict[int, str] = {}
        self.bodies: set[int] = set()
        self.unsent = b""
        self.changes = 1
        self.taken = 0
        self.over = False
        self.say(0)
        self.request("GET", b"", 0)

    # What the client does -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.methods) < 12 and not self.over)
    @rule(
        method=st.sampled_from(["GET", "HEAD", "POST"]),
        body=st.sampled_from([b"", b"abc", None]),
        held=st.integers(0, 30),
    )
    def request(self, method: str, body: bytes | None, held: int) -> None:
        number = self.client.request(method=method, body=body)
        self.methods[number] = method
        if body is None:
            self.bodies.add(number)
        self.say(held)

    @rule(held=st.sampled_from([0, 0, 5]))
    def say(self, held: int) -> None:
        """What the client has to say arrives, all but the last `held` bytes."""
        data = self.unsent + self.client.take()
        cut = max(len(data) - held, 0)
        self.unsent = data[cut:]
        self.connection.receive_data(data[:cut], self.clock())
        self.take_events()

    @precondition(lambda self: self.methods)
    @rule(pick=picks)
    def end_body(self, pick: int) -> None:
        self._on_stream(pick, self._end_body)

    def _end_body(self, number: int) -> None:
        if number in self.bodies:
            self.bodies.remove(number)
            self.client.h2.end_stream(number)

    @precondition(lambda self: self.methods)
    @rule(pick=picks, size=st.sampled_from([1, 10, 1000, 40_000]))
    def give_stream(self, pick: int, size: int) -> None:
        self._on_stream(pick, lambda number: self.client.give(size, number))

    @rule(size=st.sampled_from([1, 1000, 200_000]))
    def give_connection(self, size: int) -> None:
        self.client.give(size)
        self.say(0)

    @precondition(lambda self: self.methods)
    @rule(pick=picks, luck=st.integers(0, 3))
    def reset_stream(self, pick: int, luck: int) -> None:
        if luck == 0:
            self._on_stream(pick, lambda number: self.client.h2.reset_stream(number, 8))

    # h2 takes the acknowledgement of one SETTINGS for that of all; and, as a client, refuses an empty DATA
    # frame when its window is below zero.
    @precondition(lambda self: self.walker.acks == self.changes)
    @rule(window=st.sampled_from([0, 10, 1000, 65535]), frame=st.sampled_from([16384, 20_000]))
    def settings_change(self, window: int, frame: int) -> None:
        if self.connection.statistics().ledger > self.taken:
            return
        less = self.client.h2.local_settings.initial_window_size - window
        if any(stream.inbound_flow_control_window < less for stream in self.client.h2.streams.values()):
            return
        self.changes += 1
        self.client.h2.update_settings({4: window, 5: frame})
        self.say(0)

    @rule(pick=picks, urgency=st.integers(0, 7))
    def prioritise(self, pick: int, urgency: int) -> None:
        payload = (pick % 30).to_bytes(4) + b"u=%d" % urgency
        if not self.unsent:
            frame = len(payload).to_bytes(3) + b"\x10\0\0\0\0\0" + payload
            self.connection.receive_data(frame, self.clock())
            self.take_events()

    def _on_stream(self, pick: int, action: Any) -> None:
        number = list(self.methods)[pick % len(self.methods)]
        stream = self.client.h2.streams.get(number)
        if stream is not None and not stream.closed:
            with suppress(FlowControlError):
                action(number)
        self.say(0)

    # What the kernel does -----------------------------------------------------------------------------

    @precondition(lambda self: self.connection.wants_write)
    @rule(
        limit=st.sampled_from([None, None, 1, 100]),
        amount=st.one_of(st.integers(0, 40), st.sampled_from([200, 5_000, 1 << 30])),
        meanwhile=st.sampled_from(["", "", "client", "server"]),
    )
    def push(self, limit: int | None, amount: int, meanwhile: str = "") -> None:
        """The client says something, or a handler gives up, `meanwhile`: while the kernel has an offer."""
        while self.connection.wants_write and (amount > 0 or self.connection.prepare() is not Readiness.ASK):
            offer = b"".join(self.connection.data_to_send(self.clock(), limit))
            if not offer and amount > 0:
                # Answers that can't go whole go by frames, for which the kernel is asked first.
                offer = b"".join(self.connection.data_to_send(self.clock(), limit))
            assert offer or not self.connection.wants_write, "it wants to write, and has nothing"
            self.take_events()
            if meanwhile == "client":
                self.say(0)
            elif meanwhile == "server":
                self.streams[-1].exchange.reset(self.clock())
                self.take_events()
            if meanwhile and self.connection.close_expected():
                return
            meanwhile, taken = "", min(amount, len(offer))
            amount -= taken
            self.taken += taken
            self.walker.feed(offer[:taken])
            self._client_receives(offer[:taken])
            more = self.connection.bytes_accepted(taken, self.clock())
            assert more or self.connection.prepare() is Readiness.NOTHING, "a driver would stop here"
            self.take_events()
            self.keeps_every_invariant()
            if taken < len(offer):
                return

    def _client_receives(self, data: bytes) -> None:
        # h2 takes longer frames from the call after that with the acknowledgement on, which comes first.
        apart = 200 if self.changes > 1 else 0
        for at in range(min(apart, len(data))):
            self.client.receive(data[at : at + 1])
        self.client.receive(data[apart:])

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 2.5, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        now = self.clock()
        self.connection.handle_timeout(now)
        self.take_events()
        deadline = self.connection.next_deadline()
        assert deadline is None or deadline > now
        for stream in self.streams:
            assert all(call.settled or call.deadline > now for call in stream.calls)

    # What handlers do ---------------------------------------------------------------------------------

    @precondition(lambda self: self.streams)
    @rule(
        pick=picks,
        size=sizes,
        window=st.sampled_from([0, 1, 100, 20_000, None]),
        timeout=st.sampled_from([None, 0, 0.5, inf]),
    )
    def write(self, pick: int, size: int, window: int | None, timeout: float | None) -> None:
        stream = self.streams[pick % len(self.streams)]
        if stream.followed:
            return
        body = self._body(size)
        pending = stream.exchange.write(body, self.clock(), timeout, window)
        default = self.settings.default_send_window
        assert isinstance(default, int)
        call = Call("write", pending, body, default if window is None else window)
        call.deadline = self.clock() + (2.0 if timeout is None else timeout)
        self._note(stream, call)

    @precondition(lambda self: self.streams)
    @rule(pick=picks, sizes=st.lists(st.sampled_from([1, 30, 300, 30_000]), min_size=1, max_size=3))
    def follow(self, pick: int, sizes: list[int]) -> None:
        """A feed with a few payloads, then closed; only as all that a handler does."""
        stream = self.streams[pick % len(self.streams)]
        if stream.calls or stream.followed or stream.exchange.state != 1:
            return
        feed = Feed(clock=self.clock, policy="every")
        stream.exchange.follow(feed.follower(), self.clock())
        stream.followed = True
        stream.payloads = [self._body(size) for size in sizes]
        for payload in stream.payloads:
            feed.publish(payload)
        feed.close()
        self.take_events()

    @precondition(lambda self: self.streams)
    @rule(
        pick=picks,
        how=st.sampled_from(["finish", "close", "respond", "respond", "fail", "reset"]),
        size=sizes,
        amount=st.sampled_from([None, 0, 1, 30, 100, 1 << 30]),
    )
    def handler_ends(self, pick: int, how: str, size: int, amount: int | None) -> None:
        """A response may go to the kernel in the call that gives it; then it takes this `amount`."""
        stream = self.streams[pick % len(self.streams)]
        exchange, now = stream.exchange, self.clock()
        if exchange.state not in (1, 2) or (stream.followed and how != "reset"):
            return
        if how == "respond":
            stream.returned = self._body(size)
            exchange.answer(200, None, stream.returned, now, None if amount is None else self._kernel(amount))
        elif how == "fail":
            stream.failed = True
            exchange.fail(now)
        else:
            ends: dict[str, Callable[[float], None]] = {
                "finish": exchange.finish,
                "close": exchange.close,
                "reset": exchange.reset,
            }
            ends[how](now)
        self.take_events()

    def _kernel(self, amount: int) -> Callable[[bytes], int]:
        def send(wire: bytes) -> int:
            if not amount:
                raise BlockingIOError
            taken = min(amount, len(wire))
            self.taken += taken
            self.walker.feed(wire[:taken])
            self.client.receive(wire[:taken])
            return taken

        return send

    @precondition(lambda self: any(call.settled == 0 for stream in self.streams for call in stream.calls))
    @rule(pick=picks)
    def withdraw(self, pick: int) -> None:
        waiting = [(s, c) for s in self.streams for c in s.calls if not c.settled]
        stream, call = waiting[pick % len(waiting)]
        stream.exchange.withdraw(call.pending, self.clock())
        assert call.settled == 1

    # What must hold -----------------------------------------------------------------------------------

    @invariant()
    def keeps_every_invariant(self) -> None:
        if not hasattr(self, "connection"):
            return
        if not self.connection.close_expected():
            assert self.connection.accepted == self.taken
            tail = self.connection.statistics().ledger - self.taken
            assert 0 <= tail <= self.most + 64 * 1024, "one commit, and what the client makes us say"
            if tail:
                assert sum(map(len, self.connection.data_to_send(self.clock()))) == tail
        assert self.walker.longest <= 20_000
        for stream in self.streams:
            self._check(stream)

    def _check(self, stream: Stream) -> None:
        stats, before = stream.exchange.stats(self.clock()), stream.stats
        assert 0 <= stats.sent <= stats.current
        if before is not None:
            assert stats.current >= before.current
            assert stats.sent >= before.sent
            assert stats.cancelled >= before.cancelled
        stream.stats = stats
        if not self.connection.close_expected():
            assert stats.headers_were_sent == (stream.number in self.walker.heads)
        body = bytes(self.walker.bodies.get(stream.number, b""))
        if stream.failed:
            return
        if stream.drops:
            assert body == b""
            return
        assert stats.sent == len(body), "sent is what the kernel took"
        if stream.followed:
            assert b"".join(stream.payloads).startswith(body)
            # A payload that has begun is accepted, and only such ones are.
            edges = [sum(map(len, stream.payloads[:count])) for count in range(len(stream.payloads) + 1)]
            assert stats.current in edges
        else:
            assert stream.accepted(stats.current).startswith(body)
        for call in stream.calls:
            assert call.settled <= 1

    def teardown(self) -> None:
        if not hasattr(self, "connection"):
            return
        self.say(0)
        for stream in self.streams:
            if stream.exchange.state in (1, 2) and not stream.followed:
                stream.exchange.close(self.clock())
        self.take_events()
        self.push(None, 1 << 30)
        self.client.h2.update_settings({4: 1 << 20})
        self.client.give(1 << 24)
        for _ in range(20):
            self.say(0)
            self.push(None, 1 << 30)
            for stream in self.streams:
                if stream.followed and stream.exchange.state == 2 and not stream.exchange.has_frame:
                    stream.exchange.finish(self.clock())
                    self.take_events()
        for stream in self.streams:
            assert stream.outcome is not None, "it can end, and doesn't"
            assert all(call.settled for call in stream.calls)
        self.connection.drain(self.clock())
        self.push(None, 1 << 30)
        self.connection.receive_eof(self.clock())
        self.push(None, 1 << 30)
        self.clock.now += 100
        self.connection.handle_timeout(self.clock())
        self.push(None, 1 << 30)
        assert self.connection.close_expected()

    # Inside -------------------------------------------------------------------------------------------

    def _body(self, size: int) -> bytes:
        self.ink = (self.ink + 997) % (len(INK) - 70_000)
        return INK[self.ink : self.ink + size]

    def _note(self, stream: Stream, call: Call) -> None:
        stream.calls.append(call)
        if call.pending.settled:
            self._settled(call)
        else:
            call.pending.on_settle = lambda: self._settled(call)
        self.take_events()

    def _settled(self, call: Call) -> None:
        call.settled += 1
        call.outcome = self._outcome(call.pending)
        if len(call.body) <= call.window and call.outcome is not None:
            assert call.reported in (0, len(call.body)), "a record is never torn"

    @staticmethod
    def _outcome(pending: Pending) -> Any:
        try:
            return pending.result
        except ContentLengthError as error:
            return error

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, RequestReceived):
                number = event.exchange.transport.order  # type: ignore[attr-defined]
                self.streams.append(Stream(number, event.exchange, self.methods[number]))
            elif isinstance(event, ExchangeEnded):
                self._ended(event)

    def _ended(self, event: ExchangeEnded) -> None:
        stream = next(one for one in self.streams if one.exchange is event.exchange)
        assert stream.outcome is None, "an exchange ends once"
        stream.outcome = event.outcome
        for call in stream.calls:
            assert call.settled == 1
        stats = stream.exchange.stats(self.clock())
        assert stats.cancelled == (event.outcome != "complete")
        if event.outcome == "cut short":
            assert stream.number not in self.walker.ends
            assert stats.sent == stats.current, "what was accepted arrives"
        if event.outcome == "complete":
            assert stream.number in self.walker.ends, "complete is what the kernel has the end of"
            if not stream.drops and not stream.failed:
                body = bytes(self.walker.bodies.get(stream.number, b""))
                expected = b"".join(stream.payloads) if stream.followed else stream.accepted(stats.current)
                assert body == expected
                assert stats.sent == stats.current


TestHttp2Machine = Http2Machine.TestCase
TestHttp2Machine.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)


@pytest.mark.soak
def test_much_more_of_it() -> None:
    much = hypothesis_settings(max_examples=2_500, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Http2Machine, settings=much)
