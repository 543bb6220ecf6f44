"""The small parts of the core against models too simple to be wrong."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpng_core import COMPILED, Timer, Timers
from httpng_core.sending import LagBook, Outgoing, ResponseBody, Write, WriterQueue
from httpng_core.wire import Ledger, OfferSize, Span

quick = settings(max_examples=150, deadline=None, derandomize=True)


# ResponseBody: a string ---------------------------------------------------------------------------------


@quick
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=9),
            st.integers(4090, 9000).map(bytes),
            st.tuples(st.just("peek"), st.integers(1, 5000)),
            st.tuples(st.just("frames"), st.integers(1, 20_000)),
            st.tuples(st.just("commit"), st.integers(0, 9000)),
            st.just("drop all"),
        )
    )
)
def test_a_response_body_is_a_string(steps: list[bytes | str | tuple[str, int]]) -> None:
    body, model = ResponseBody(), b""
    for step in steps:
        if isinstance(step, bytes):
            body.accept(step, 0.0)
            model += step
        elif isinstance(step, str):
            body.drop_all()
            model = b""
        elif step[0] == "peek":
            assert bytes(body.peek(step[1])) == model[: step[1]]
        elif step[0] == "frames":
            frames = [bytes(frame) for frame in body.frames(step[1], 5000)]
            assert b"".join(frames) == model[: len(b"".join(frames))]
            assert len(b"".join(frames)) >= min(step[1], len(model))
            assert all(0 < len(frame) <= 5000 for frame in frames)
        elif size := min(step[1], len(model)):
            body.commit(size)
            model = model[size:]
        assert body.buffered == len(model)
        assert bytes(body.peek(1 << 20)) == model


# Timers: a list ---------------------------------------------------------------------------------------


@quick
@given(st.data())
def test_timers_run_once_in_order_and_not_before_their_time(data: st.DataObject) -> None:
    timers, now, count = Timers(), 0.0, 0
    model: dict[int, tuple[float, Timer]] = {}
    ran: list[int] = []
    for _ in range(data.draw(st.integers(0, 40))):
        what = data.draw(st.sampled_from(["add", "add", "cancel", "handle"]))
        if what == "add":
            count += 1
            deadline = now + data.draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 2.0, inf]))
            timer = timers.add(deadline, lambda at, which=count: ran.append(which))  # type: ignore[misc]
            assert (timer is None) == (deadline == inf)
            if timer is not None:
                model[count] = deadline, timer
        elif what == "cancel" and model:
            timers.cancel(model.pop(data.draw(st.sampled_from(sorted(model))))[1])
        elif what == "handle":
            now += data.draw(st.sampled_from([0.0, 0.5, 1.0, 3.0]))
            due = sorted((deadline, which) for which, (deadline, _) in model.items() if deadline <= now)
            timers.handle(now)
            assert ran == [which for _, which in due]
            ran.clear()
            for _, which in due:
                timers.cancel(model.pop(which)[1])
        assert len(timers) == len(model)
        assert timers.next_deadline() == min((deadline for deadline, _ in model.values()), default=None)


# Ledger: a list of what each wire byte pays for -------------------------------------------------------


class Recipient:
    """Notes what it is paid."""

    def __init__(self, got: list[Span | int] | None = None) -> None:
        self.got: list[Span | int] = [] if got is None else got

    def paid(self, *, head: bool, size: int, end: bool, now: float) -> None:
        self.got.append(Span.HEAD if head else Span.END if end else size)


spans = st.one_of(
    st.tuples(st.sampled_from([None, Span.HEAD, Span.BODY, Span.BODY]), st.integers(1, 9)),
    st.just((Span.END, 0)),
)


@pytest.mark.skipif(COMPILED, reason="a compiled ledger pays nobody but exchanges")
@quick
@given(st.lists(st.one_of(spans, st.integers(0, 12))))
def test_a_ledger_pays_for_each_byte_once_and_in_order(steps: list[tuple[Span | None, int] | int]) -> None:
    ledger, recipient = Ledger(), Recipient()
    model: list[tuple[int, int, Span]] = []
    for step in steps:
        if isinstance(step, int):
            ledger.accept(min(step, ledger.pushed - ledger.accepted), 0.0)
        elif step[0] is None:
            ledger.push(step[1])
        else:
            model.append((ledger.pushed, ledger.pushed + step[1], step[0]))
            # Of one exchange there is one head and one end.
            one = recipient if step[0] is Span.BODY else Recipient(recipient.got)
            ledger.push_span(step[1], step[0], cast(Outgoing, one))
            continue
        bodies = [(start, end) for start, end, span in model if span is Span.BODY]
        sizes = [each for each in recipient.got if not isinstance(each, Span)]
        assert sum(sizes) == sum(max(min(end, ledger.accepted) - start, 0) for start, end in bodies)
        # An END without bytes is paid by the next answer of the kernel, even if that was "none".
        if isinstance(step, int):
            for span in (Span.HEAD, Span.END):
                whole = [one for one in model if one[2] is span and one[1] <= ledger.accepted]
                assert [each for each in recipient.got if each is span] == [span] * len(whole)


# OfferSize: its numbered sentences --------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(st.sampled_from([10, 16_400, 40_000, 1 << 20]), st.sampled_from([0, 0, 0, 1, 9]))))
def test_offers_double_when_taken_whole_and_halve_when_cut(offers: list[tuple[int, int]]) -> None:
    size, limit, asks, run = OfferSize(), 16_384, False, 0
    for offered, missing in offers:
        if missing:
            run, asks, limit = 0, asks or limit == 16_384, max(limit // 2, 16_384)
        elif offered >= limit:
            run += 1
            if not asks or run >= 4:
                asks, limit = False, min(2 * limit, 256 * 1024)
        size.taken(offered, offered - missing)
        assert (size.limit, size.asks_first) == (limit, asks)
        assert size.frame == min(limit, 64 * 1024)


# LagBook: a stamp for each byte -----------------------------------------------------------------------


@quick
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("accept"), st.integers(1, 50)),
            st.tuples(st.just("pay"), st.integers(1, 80)),
            st.tuples(st.just("wait"), st.sampled_from([0.0002, 0.0009, 0.01, 1.0, 60.0])),
        ),
        max_size=150,
    )
)
def test_lag_is_true_to_the_millisecond_while_the_book_has_room(steps: list[tuple[str, float]]) -> None:
    book, stamps, now = LagBook(), deque[float](), 1000.0
    current = sent = 0
    for what, amount in steps:
        if what == "accept":
            current += int(amount)
            stamps.extend([now] * int(amount))
            book.accept(current, now)
        elif what == "pay":
            size = min(int(amount), current - sent)
            sent += size
            for _ in range(size):
                stamps.popleft()
            book.pay(sent)
        else:
            now += amount
        lag = now - stamps[0] if stamps else 0.0
        assert -0.0006 <= book.lag(now) - lag <= 0.0016
        assert len(book) <= LagBook.MAX_STAMPS


# WriterQueue: who got how much of what, in order ------------------------------------------------------


class Line:
    """A body and its queue, and beside them every body with its writer (`None`: taken at once)."""

    def __init__(self) -> None:
        self.settled: list[Write] = []
        self.body = ResponseBody()
        self.queue = WriterQueue()
        self.calls: list[tuple[bytes, Write | None]] = []
        self.left: list[Write] = []
        self.out = b""

    @property
    def waiting(self) -> list[Write]:
        gone = [*self.settled, *self.left]
        return [write for _, write in self.calls if write is not None and write not in gone]

    def advance(self) -> None:
        self.queue.advance(self.body, 0.0, lambda write, error: self.settled.append(write))

    def write(self, data: bytes, limit: int) -> None:
        if not self.waiting and self.body.in_flight("sent") + len(data) <= limit:
            self.body.accept(data, 0.0)
            self.calls.append((data, None))
            return
        write = Write(data, limit, inf)
        self.calls.append((data, write))
        self.queue.append(write)
        self.advance()

    def frame(self, limit: int) -> None:
        """A frame that the kernel takes whole."""
        if self.queue.draws(self.body):
            self.queue.draw(self.body, limit, 0.0)
        piece = bytes(self.body.peek(limit))
        if piece:
            self.body.commit(len(piece))
            self.body.pay(len(piece), 0.0)
            self.advance()
        self.out += piece

    def leave(self, which: int) -> None:
        if self.waiting:
            self.left.append(self.waiting[which % len(self.waiting)])
            self.queue.remove(self.left[-1])
            self.advance()

    def check(self) -> None:
        body, waiting = self.body, self.waiting
        got = [(data, len(data) if write is None else write.accepted) for data, write in self.calls]
        accepted = b"".join(data[:size] for data, size in got)
        assert body.current == len(accepted)
        assert accepted.startswith(self.out)
        assert body.sent == body.committed == len(self.out)
        assert all(size in (0, len(data)) for (data, size) in got if len(data) <= 5)
        assert self.settled == [write for _, write in self.calls if write in self.settled]
        assert all(write.rest == 0 for write in self.settled)
        assert all(write.accepted == 0 for write in waiting[1:])
        assert not waiting or body.in_flight("sent") + waiting[0].rest > waiting[0].limit
        assert body.buffered or self.queue.draws(body) or not waiting
        assert len(self.queue) == len(waiting)
        assert self.queue.rest == sum(write.rest for write in waiting)


@quick
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 20), st.sampled_from([0, 5, 9])),
            st.tuples(st.just("frame"), st.integers(1, 6), st.just(0)),
            st.tuples(st.just("leave"), st.integers(0, 5), st.just(0)),
        )
    )
)
def test_a_queue_accepts_in_order_and_tears_nothing_that_fits(steps: list[tuple[str, int, int]]) -> None:
    line, ink = Line(), bytes(range(256)) * 4
    for at, (what, size, window) in enumerate(steps):
        if what == "write":
            # A body of up to 5 bytes always fits its window here.
            line.write(ink[at * 7 : at * 7 + size], max(window, 5) if size <= 5 else window)
        elif what == "frame":
            line.frame(size)
        else:
            line.leave(size)
        line.check()
