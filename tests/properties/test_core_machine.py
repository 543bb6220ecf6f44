"""Any order of everything that can happen to one connection, against a client that decodes for itself.

The model knows the rules of the specification and nothing of the code: it holds what each call was given
and what it reported, and reads `sent`, `committed` and the body off the wire bytes that the kernel took.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import pytest
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
from tests.core.driving import promised_at_rest
from tests.properties.model import Call, Served
from tests.properties.receiver import Received, Receiver

from httpng_core import (
    Closing,
    Connection,
    ContentLengthError,
    Exchange,
    ExchangeEnded,
    Host,
    Pending,
    Readiness,
    RequestReceived,
    RequestRefused,
    Response,
    ResponseStateError,
    SendStats,
    Settings,
    body_bytes_sent,
    cancelled,
    headers_were_sent,
    reached,
)
from httpng_core.testing import Clock

STALL = 5.0
LARGEST_FRAME = 64 * 1024
# Bytes by which any two places can be told apart.
INK = random.Random(7).randbytes(1 << 17)
SUBSTITUTE = b"Path handler execution error"


ENDS = ["finish", "finish", "close", "respond", "respond", "fail", "reset"]

sizes = st.one_of(
    st.integers(0, 12), st.sampled_from([99, 100, 101, 300]), st.sampled_from([16384, 20001, 70_000])
)
windows = st.sampled_from([0, 1, 5, 10, 100, 20_000, None])
timeouts = st.sampled_from([None, 0, 0.5, 3, inf])
picks = st.integers(0, 1 << 16)
amounts = st.one_of(st.integers(0, 40), st.sampled_from([200, 5_000]), st.just(1 << 30))


class CoreMachine(RuleBasedStateMachine):
    """One connection at a time; every rule is one thing that a client, a kernel, time or a handler does."""

    @initialize(
        window=st.sampled_from([0, 10, 100, 1 << 20]),
        half_close=st.sampled_from(["streaming", "always", "never"]),
    )
    def start(self, window: int, half_close: Any) -> None:
        self.settings = Settings(
            default_send_window=window,
            default_send_timeout=2.0,
            stall_timeout=STALL,
            cancel_on_half_close=half_close,
        )
        self.clock = Clock()
        self.ink = 0
        self._connect()
        self.request("GET", "1.1", "", 0)

    def _connect(self) -> None:
        self.woken = False
        self.connection = Connection(self.settings, self.clock(), host=Host(self._wake))
        self.receiver = Receiver()
        self.requests: list[tuple[str, str]] = []
        self.unsent = b""
        self.served: list[Served] = []
        self.offer: bytes | None = None
        self.tail = b""
        self.taken = 0
        self.eof = False
        self.draining = False

    def _wake(self) -> None:
        self.woken = True

    # What the client does -----------------------------------------------------------------------------

    @precondition(lambda self: self.connection.close_expected())
    @rule()
    def connect_again(self) -> None:
        self._settle_accounts()
        self._connect()
        self.request("GET", "1.1", "", 0)

    @precondition(lambda self: not self.eof and len(self.requests) - len(self.served) < 3)
    @rule(
        method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
        version=st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
        connection=st.sampled_from(["", "", "connection: keep-alive\r\n", "connection: close\r\n"]),
        held_back=st.integers(0, 30),
    )
    def request(self, method: str, version: str, connection: str, held_back: int) -> None:
        body = "content-length: 3\r\n\r\nabc" if method == "POST" else "\r\n"
        path = f"/{len(self.requests)}"
        text = f"{method} {path} HTTP/{version}\r\nhost: x\r\n{connection}{body}"
        self.requests.append((method, version))
        self.receiver.methods.append(method)
        data = self.unsent + text.encode()
        cut = max(len(data) - held_back, 0)
        self.unsent = data[cut:]
        self.connection.receive_data(data[:cut], self.clock())
        self.take_events()

    @precondition(lambda self: self.unsent and not self.eof)
    @rule()
    def rest_of_the_request(self) -> None:
        data, self.unsent = self.unsent, b""
        self.connection.receive_data(data, self.clock())
        self.take_events()

    def fin(self) -> None:
        served, before = self._active(), self._snapshot()
        if served and not served.ended and not self.eof:
            rule_of_settings = self.settings.cancel_on_half_close
            begun = served.status is not None
            cancels = rule_of_settings == "always" or (rule_of_settings == "streaming" and begun)
            served.may_cancel = cancels
        else:
            cancels = False
        self.eof = True
        self.connection.receive_eof(self.clock())
        self.take_events()
        if cancels:
            assert served is not None
            assert served.outcome == "cancelled"
        elif served:
            assert self._snapshot() == before

    def reset(self) -> None:
        self._gone()
        self.connection.connection_lost(self.clock())
        self.take_events()
        assert self.connection.close_expected()

    # What the kernel does -----------------------------------------------------------------------------

    @precondition(lambda self: self.connection.wants_write)
    @rule(limit=st.sampled_from([None, None, 1, 3, 10, 1000]))
    def ask(self, limit: int | None) -> None:
        """`data_to_send`, without the answer."""
        offer = b"".join(self.connection.data_to_send(self.clock(), limit))
        if self.offer is not None:
            assert offer == self.offer, "an offer is the same until it is answered"
        if self.tail:
            assert offer == self.tail, "the rest of a committed frame goes out first, unchanged"
        self.offer = offer or None
        self.take_events()

    @precondition(lambda self: self.offer is not None and not self.connection.close_expected())
    @rule(amount=amounts)
    def answer(self, amount: int) -> None:
        assert self.offer is not None
        offer, self.offer = self.offer, None
        taken = min(amount, len(offer))
        if taken:
            self.taken += taken
            self.receiver.feed(offer[:taken])
            if served := self._active():
                served.progress = self.clock()
        more = self.connection.bytes_accepted(taken, self.clock())
        assert more or self.connection.prepare() is Readiness.NOTHING, "a driver would stop here"
        if taken:
            # Of an offer of many frames the one that was cut is committed, the rest was never made.
            committed = self.connection.statistics().ledger - self.connection.accepted
            self.tail = offer[taken : taken + committed]
            assert committed <= LARGEST_FRAME + 200
        self.take_events()
        if taken and self._active():
            assert len(self.tail) == committed

    @precondition(lambda self: self.connection.wants_write)
    @rule(limit=st.sampled_from([None, None, 7]), amount=amounts)
    def push(self, limit: int | None, amount: int) -> None:
        """Frame after frame, until the kernel refuses."""
        while self.connection.wants_write and amount > 0:
            self.ask(limit)
            if self.offer is not None:
                size = len(self.offer)
                self.answer(amount)
                amount -= size
            self.keeps_every_invariant()

    # Time ---------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.connection.close_expected())
    @rule(seconds=st.sampled_from([0.0, 0.0004, 0.3, 1.0, 2.5, 6.0]), told=st.booleans())
    def time_passes(self, seconds: float, told: bool) -> None:
        self.clock.now += seconds
        if told:
            self._handle_timeout()

    def _handle_timeout(self) -> None:
        now = self.clock()
        served = self._active()
        if served and served.ended and now - served.progress >= STALL:
            served.may_reset = True
        self.connection.handle_timeout(now)
        self.take_events()
        deadline = self.connection.next_deadline()
        assert deadline is None or deadline > now
        for one in self.served:
            assert all(call.deadline > now for call in one.waiting)

    # What handlers do ---------------------------------------------------------------------------------

    @contextmanager
    def _handler_acts(self) -> Iterator[tuple[Served, SendStats]]:
        """The handler of the last exchange does something; it may do so when that is over, too."""
        self.woken = False
        wanted = self.connection.wants_write
        served = self.served[-1]
        yield served, served.exchange.stats(self.clock())
        self.take_events()
        if self.connection.wants_write and not wanted:
            assert self.woken, "there is something to send and nobody was told"

    @precondition(lambda self: self.served and self._open())
    @rule(
        code=st.sampled_from([200, 200, 404, 204, 304]),
        length=st.one_of(st.none(), st.integers(0, 30), st.sampled_from([300, 20_001])),
        timeout=timeouts,
    )
    def write_header(self, code: int, length: int | None, timeout: float | None) -> None:
        headers = {} if length is None else {"content-length": length}
        with self._handler_acts() as (served, _):
            exchange, now = served.exchange, self.clock()
            open_ = served.outcome is None and not served.ended
            if served.headed:
                with pytest.raises(ResponseStateError):
                    exchange.write_header(code, headers, now, timeout)
                return
            pending = exchange.write_header(code, headers, now, timeout)
            call = self._note(served, Call("write_header", pending), timeout)
            if open_:
                served.status, served.length, served.headed = code, length, True
            else:
                assert cancelled(call.outcome)

    @precondition(lambda self: self.served and not self._open())
    @rule(what=st.sampled_from(["header", "write", "write", "wait"]), luck=st.integers(0, 2))
    def call_after_the_end(self, what: str, luck: int) -> None:
        if luck == 0 and what == "header":
            self.write_header(200, None, 1)
        elif luck == 0:
            self.write(3, None, 1) if what == "write" else self.wait(0, 1)

    @precondition(lambda self: self.served and self._open())
    @rule(size=sizes, window=windows, timeout=timeouts)
    def write(self, size: int, window: int | None, timeout: float | None) -> None:
        body = self._body(size)
        limit = int(self.settings.default_send_window) if window is None else window
        with self._handler_acts() as (served, before):
            exchange = served.exchange
            open_ = served.outcome is None and not served.ended
            queue = bool(served.line)
            if open_ and served.status is None:
                served.status, served.headed = 200, True
            too_long = (
                served.length is not None and not served.drops and before.current + size > served.length
            )
            try:
                pending = exchange.write(body, self.clock(), timeout, window)
            except ContentLengthError:
                assert open_
                assert too_long
                assert not queue
                return
            assert not (open_ and too_long and not queue)
            served.widest = max(served.widest, limit)
            call = self._note(served, Call("write", pending, body, limit), timeout)
            fits = before.current - before.sent + size <= limit or served.drops
            if not open_:
                assert cancelled(call.outcome)
                assert body_bytes_sent(call.outcome) == 0
            elif fits and not queue:
                assert call.settled
                assert call.outcome is None
            else:
                assert not call.settled

    @precondition(lambda self: self.served)
    @rule(size=sizes, amount=amounts)
    def write_at_once(self, size: int, amount: int) -> None:
        """A piece that goes to the kernel in the call that writes it, or nothing is done."""
        body, limit = self._body(size), int(self.settings.default_send_window)
        with self._handler_acts() as (served, before), self._kernel(amount) as send:
            if not served.exchange.send_piece(body, self.clock(), send):
                assert served.exchange.stats(self.clock()) == before
                return
            assert served.outcome is None
            assert before.current == before.sent
            assert 0 < size <= limit
            assert not served.line
            served.widest = max(served.widest, limit)
            done = Pending()
            done.settle(None)
            self._note(served, Call("write", done, body, limit), None)

    @precondition(lambda self: self.served and self._open())
    @rule(size=st.sampled_from([50, 20_001]), then=st.sampled_from(["", "empty", "small", *ENDS]))
    def fall_short(self, size: int, then: str) -> None:
        """A write in vain, and what a handler may do about it: how its response may end depends on that."""
        self.write(size, 7, 0)
        self._handle_timeout()
        if then == "empty":
            self.write(0, 0, 1)
        elif then == "small":
            self.write(5, None, 1)
        elif then:
            self.handler_ends(then, size % 7)

    @precondition(lambda self: self.served and self._active())
    @rule(position=st.one_of(st.integers(-20, 20), st.sampled_from([-20_000, 300, 70_000])), timeout=timeouts)
    def wait(self, position: int, timeout: float | None) -> None:
        with self._handler_acts() as (served, _):
            pending = served.exchange.wait(position, self.clock(), timeout)
            call = self._note(served, Call("wait", pending, position=position), timeout)
            if call.settled and not self._met(served, position):
                assert cancelled(call.outcome)

    @precondition(lambda self: any(served.waiting for served in self.served))
    @rule(pick=picks)
    def withdraw(self, pick: int) -> None:
        """The task of a call is cancelled."""
        waiting = [(served, call) for served in self.served for call in served.waiting]
        served, call = waiting[pick % len(waiting)]
        served.exchange.withdraw(call.pending, self.clock())
        assert call.settled
        assert cancelled(call.outcome) is False
        served.exchange.withdraw(call.pending, self.clock())

    @precondition(lambda self: self.served and not self.connection.close_expected())
    @rule(luck=st.integers(0, 2), how=st.sampled_from(ENDS), size=sizes, amount=st.one_of(st.none(), amounts))
    def handler_may_end(self, luck: int, how: str, size: int, amount: int | None) -> None:
        """A response may go to the kernel in the call that gives it; then it takes this `amount`."""
        if luck == 0:
            self.handler_ends(how, size, amount)

    def handler_ends(self, how: str, size: int, amount: int | None = None) -> None:
        with self._handler_acts() as (served, before):
            if how == "fail":
                self._fail(served)
            elif how == "reset":
                served.may_reset = True
                served.exchange.reset(self.clock())
            else:
                self._end(served, how, self._body(size) if how == "respond" else b"", before, amount)

    def _end(self, served: Served, how: str, data: bytes, before: SendStats, amount: int | None) -> None:
        exchange, now = served.exchange, self.clock()
        begun = served.status is not None
        open_ = served.outcome is None and not served.ended
        if open_:
            served.ended, served.progress = True, now
            served.status, served.returned = served.status or 200, data
            room = None if served.length is None or served.drops else served.length - before.current
            if room is not None and len(data) > room:
                # end_exchange would let the handler fail.
                served.ended, served.returned = False, b""
                self._expect_refusal(exchange, data)
                return
            torn = served.is_cut(before.current)
        if how != "respond":
            getattr(exchange, how)(now)
        elif amount is None:
            exchange.respond(Response(body=data), now)
        else:
            self._respond_at_once(exchange, data, amount)
        if open_:
            # By now those that waited have reported: what is offered to the kernel was accepted.
            short = served.fell_short and not (how == "respond" and data)
            short = how != "close" and (short or torn)
            served.is_cut_short = short or (room is not None and len(data) < room)
            assert begun or not served.is_cut_short
        self.take_events()
        assert not served.line

    def _respond_at_once(self, exchange: Exchange, data: bytes, amount: int) -> None:
        with self._kernel(amount) as send:
            exchange.answer(200, None, data, self.clock(), send)

    @contextmanager
    def _kernel(self, amount: int) -> Iterator[Callable[[bytes], int]]:
        """What may be given to a call that has its bytes sent: it takes so many, once at most."""
        sent: list[bytes] = []
        before = self.taken

        def send(wire: bytes) -> int:
            assert (self.offer, self.tail, sent) == (None, b"", [])
            sent.append(wire)
            taken = min(amount, len(wire))
            if not taken:
                raise BlockingIOError
            self.taken += taken
            self.receiver.feed(wire[:taken])
            return taken

        yield send
        for wire in sent:
            taken = self.taken - before
            committed = self.connection.statistics().ledger - self.connection.accepted
            self.tail = wire[taken : taken + committed]
            assert len(self.tail) == committed

    def _expect_refusal(self, exchange: Exchange, data: bytes) -> None:
        with pytest.raises(ContentLengthError):
            exchange.respond(Response(body=data), self.clock())

    def _fail(self, served: Served) -> None:
        live = served.outcome is None and not served.ended
        offered = self.offer is not None and served is self._active()
        committed = offered or self.receiver.begun(served.index)
        if live:
            served.progress, served.ended, served.is_cut_short = self.clock(), True, committed
            if not committed:
                served.drops_before_500 = served.drops
                served.status, served.substituted = 500, True
        served.exchange.fail(self.clock())
        self.take_events()

    # What the server does -----------------------------------------------------------------------------

    @precondition(lambda self: not self.connection.close_expected())
    @rule(luck=st.integers(0, 3), what=st.sampled_from(["fin", "fin", "reset", "drain", "abort"]))
    def bad_news(self, luck: int, what: str) -> None:
        """What ends most things, so it must not come too often."""
        if luck == 0:
            getattr(self, what)()

    def drain(self) -> None:
        self.draining = True
        self.connection.drain(self.clock())
        self.take_events()

    def abort(self) -> None:
        self._gone()
        self.connection.abort(self.clock())
        self.take_events()
        assert self.connection.close_expected()

    @rule()
    def spurious(self) -> None:
        """None of these has anything to tell."""
        before, now = self._snapshot(), self.clock()
        self.connection.receive_data(b"", now)
        if self.offer is None:
            self.connection.bytes_accepted(0, now)
        if not self.connection.wants_write:
            assert self.connection.data_to_send(now) == []
        if self.eof:
            self.connection.receive_eof(now)
        if self.draining:
            self.connection.drain(now)
        if self.connection.close_expected():
            self.connection.bytes_accepted(5, now)
            self.connection.receive_data(b"GET / HTTP/1.1\r\n", now)
            self.connection.receive_eof(now)
            self.connection.connection_lost(now)
            self.connection.abort(now)
            self.connection.drain(now)
            self.connection.handle_timeout(now)
            assert self.connection.data_to_send(now) == []
        assert self.connection.next_event() is None
        assert self._snapshot() == before

    # The rules of the specification -------------------------------------------------------------------

    @invariant()
    def keeps_every_invariant(self) -> None:
        if self.connection.close_expected():
            self.offer, self.tail = None, b""
        self._check_wire()
        promised_at_rest(self.connection)
        for served in self.served:
            self._check(served)
        assert sum(served.outcome is None for served in self.served) <= 1

    def _check_wire(self) -> None:
        if self.connection.close_expected():
            return
        buffered = self.connection.statistics().ledger - self.connection.accepted
        assert self.connection.accepted == self.taken
        if buffered:
            assert sum(map(len, self.connection.data_to_send(self.clock()))) == buffered
        assert buffered == len(self.tail) or not self._active()

    def _check(self, served: Served) -> None:
        stats = served.exchange.stats(self.clock())
        if served.final is None:
            self._check_positions(served, stats)
            self._check_body(served, stats)
            served.final = None if served.outcome is None else stats
        else:
            assert stats == served.final, "an exchange that is over stays as it is"
        self._check_calls(served, stats)
        self._check_lag(served, stats)
        served.stats = stats

    def _check_positions(self, served: Served, stats: SendStats) -> None:
        before = served.stats
        received = self._received(served)
        sent = 0 if received is None else len(received.body)
        if served.substituted or served.drops:
            # What is dropped by rule counts as sent; a body of ours isn't counted at all.
            sent = stats.current if served.drops else 0
        assert stats.sent == sent, "sent is what the kernel took"
        later = self.receiver.with_tail(self.tail) if self.tail else self.receiver
        if not served.drops and not served.substituted and len(later.responses) > served.index:
            sent = len(later.responses[served.index].body)
        assert 0 <= stats.sent <= sent <= stats.current
        if before is not None:
            assert stats.current >= before.current
            assert stats.sent >= before.sent
            assert stats.cancelled >= before.cancelled
            assert stats.headers_were_sent >= before.headers_were_sent
        assert stats.headers_were_sent == (received is not None)
        if not served.returned:
            assert stats.current - stats.sent <= served.widest + LARGEST_FRAME

    def _check_body(self, served: Served, stats: SendStats) -> None:
        accepted = served.accepted(stats.current)
        received = self._received(served)
        if received is None:
            return
        assert received.status == served.status
        if served.substituted:
            assert (SUBSTITUTE if served.method != "HEAD" else b"").startswith(received.body)
        elif served.drops:
            assert received.body == b""
        else:
            assert accepted.startswith(received.body)

    def _check_calls(self, served: Served, stats: SendStats) -> None:
        line = served.line
        if line:
            first = line[0]
            reported = sum(call.reported for call in served.writes if call.settled)
            rest = len(first.body) - (stats.current - reported)
            in_flight = stats.current - stats.sent
            assert in_flight + rest > first.window, "what is left fits, and still it waits"
        for call in served.calls:
            assert call.settled <= 1
            if call.settled:
                assert self._outcome(call.pending) is call.outcome
            elif call.kind == "wait":
                assert not self._met(served, call.position), "the condition is met, and still it waits"
            elif call.kind == "write_header":
                assert not stats.headers_were_sent
        if served.outcome is not None:
            assert not served.waiting
            assert stats.cancelled == (served.outcome != "complete")

    def _check_lag(self, served: Served, stats: SendStats) -> None:
        if stats.current > (served.stats.current if served.stats else 0):
            served.stamps.append((stats.current, self.clock()))
        if stats.current == stats.sent or served.outcome or served.substituted:
            assert stats.lag == 0
            return
        oldest = next(stamp for position, stamp in served.stamps if position > stats.sent)
        assert self.clock() - oldest - 0.001 <= stats.lag <= self.clock() - oldest + 0.002

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self._settle_accounts()

    def _settle_accounts(self) -> None:
        """Time and kernel do what they can: everything comes to an end, whole or reset."""
        if not self.eof and self.unsent:
            self.rest_of_the_request()
        while (served := self._active()) is not None:
            if not served.ended:
                self.handler_ends("close", 0)
            self.push(None, 1 << 30)
            self.keeps_every_invariant()
        closing = self.connection.close_expected() or self.connection.half_close_expected()
        self.push(None, 1 << 30)
        assert closing or self.eof or len(self.served) == len(self.requests)
        self.fin()
        self.push(None, 1 << 30)
        assert self.connection.close_expected()
        assert self.connection.next_deadline() is None
        for served in self.served:
            assert served.outcome is not None

    # Inside -------------------------------------------------------------------------------------------

    def _active(self) -> Served | None:
        return next((served for served in self.served if served.outcome is None), None)

    def _open(self) -> bool:
        """Whether a handler is in the middle of its response."""
        return self.served[-1].outcome is None and not self.served[-1].ended

    def _gone(self) -> None:
        if served := self._active():
            served.may_cancel = True

    def _received(self, served: Served) -> Received | None:
        responses = self.receiver.responses
        return responses[served.index] if len(responses) > served.index else None

    def _snapshot(self) -> list[object]:
        now = self.clock()
        return [(s.exchange.stats(now), [c.settled for c in s.calls], s.outcome) for s in self.served]

    def _met(self, served: Served, position: int) -> bool:
        stats = served.exchange.stats(self.clock())
        if position > 0:
            return stats.sent >= position
        head_pending = served.status is not None and not stats.headers_were_sent
        return stats.current - stats.sent <= -position and not (position == 0 and head_pending)

    def _body(self, size: int) -> bytes:
        self.ink = (self.ink + 997) % (len(INK) - 70_000)
        return INK[self.ink : self.ink + size]

    @staticmethod
    def _outcome(pending: Pending) -> Any:
        try:
            return pending.result
        except ContentLengthError as error:
            return error

    def _note(self, served: Served, call: Call, timeout: float | None) -> Call:
        default = self.settings.default_send_timeout
        call.deadline = self.clock() + (default if timeout is None else timeout)
        served.calls.append(call)
        if call.pending.settled:
            self._settled(served, call)
        else:
            call.pending.on_settle = lambda: self._settled(served, call)
        return call

    def _settled(self, served: Served, call: Call) -> None:
        call.settled += 1
        call.outcome = self._outcome(call.pending)
        if call.kind == "wait":
            assert reached(call.outcome) == self._met(served, call.position)
        if call.kind == "write_header":
            assert headers_were_sent(call.outcome) == served.exchange.stats(self.clock()).headers_were_sent
        if call.kind == "write" and not isinstance(call.outcome, Exception) and call.body:
            assert call.outcome is None or 0 <= call.reported <= len(call.body)

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, RequestReceived):
                method, version = self.requests[len(self.served)]
                assert event.exchange.request.path == f"/{len(self.served)}"
                assert event.exchange.request.method == method
                self.served.append(Served(event.exchange, len(self.served), method, version))
            elif isinstance(event, ExchangeEnded):
                self._ended(event)
            else:
                assert isinstance(event, RequestRefused)
                assert event.status == (400 if self.eof else 408)

    def _ended(self, event: ExchangeEnded) -> None:
        served = next(one for one in self.served if one.exchange is event.exchange)
        assert served.outcome is None, "an exchange ends once"
        served.outcome = event.outcome
        assert (event.cause == "") == (event.outcome == "complete" and not served.substituted)
        if event.outcome == "complete":
            self._check_complete(served)
        elif event.outcome == "cut short":
            self._check_cut(served)
        else:
            assert served.may_cancel if event.outcome == "cancelled" else served.may_reset
            assert self.connection.close_expected()

    def _check_complete(self, served: Served) -> None:
        stats, received = served.exchange.stats(self.clock()), self._received(served)
        assert not served.is_cut_short
        assert received is not None
        if not served.ended:
            assert served.drops or len(received.body) == served.length, "it isn't complete on the wire"
        assert received.complete or received.left is None
        assert not self.tail or self.offer is None
        if not served.drops and not served.substituted:
            assert received.body == served.accepted(stats.current)
            assert stats.sent == stats.current

    def _check_cut(self, served: Served) -> None:
        """All that was accepted has arrived, and the client can tell that something is missing."""
        stats, received = served.exchange.stats(self.clock()), self._received(served)
        assert served.ended
        assert served.is_cut_short
        assert received is not None
        assert stats.sent == stats.current
        if not served.drops:
            assert received.body == served.accepted(stats.current)
            assert not received.complete or len(received.body) == served.length
        if received.left is None:
            assert self.connection.close_expected() is Closing.RESET, "else it would pass for complete"
        else:
            # The end of the last chunk may still be to go.
            rest = self.connection.wants_write
            assert rest or self.connection.half_close_expected() or self.connection.close_expected()
            assert self.connection.close_expected() is not Closing.RESET


TestCoreMachine = CoreMachine.TestCase
TestCoreMachine.settings = hypothesis_settings(
    max_examples=300, stateful_step_count=40, deadline=None, derandomize=True
)


@pytest.mark.soak
def test_much_more_of_it() -> None:
    much = hypothesis_settings(max_examples=2_500, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(CoreMachine, settings=much)
