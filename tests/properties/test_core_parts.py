"""The small parts of the core against models too simple to be wrong."""

from __future__ import annotations

from collections import deque
from math import inf

from httpng_core.sending.buffer import BodyBuffer
from httpng_core.wire.log import Span, WireLog
from hypothesis import given, settings
from hypothesis import strategies as st

from httpng_core import Timers
from httpng_core.sending.calls import Write
from httpng_core.sending.positions import CommitSize, LagBook
from httpng_core.sending.queue import SendQueue
from httpng_core.timers import Timer

quick = settings(max_examples=150, deadline=None, derandomize=True)


# BodyBuffer: a string ---------------------------------------------------------------------------------


@quick
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=9),
            st.tuples(st.just("peek"), st.integers(1, 12)),
            st.tuples(st.just("drop"), st.integers(0, 12)),
            st.just("clear"),
        )
    )
)
def test_a_body_buffer_is_a_string(steps: list[bytes | str | tuple[str, int]]) -> None:
    buffer, model = BodyBuffer(), b""
    for step in steps:
        if isinstance(step, bytes):
            buffer.append(step)
            model += step
        elif isinstance(step, str):
            buffer.clear()
            model = b""
        elif step[0] == "peek":
            assert bytes(buffer.peek(step[1])) == model[: step[1]]
        else:
            size = min(step[1], len(model))
            buffer.drop(size)
            model = model[size:]
        assert len(buffer) == len(model)
        assert bytes(buffer.peek(1 << 20)) == model


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


# WireLog: a list of what each wire byte pays for ------------------------------------------------------


class Payee:
    def __init__(self) -> None:
        self.got: list[tuple[Span, int]] = []

    def paid(self, span: Span, size: int, now: float) -> None:
        self.got.append((span, size))

    def acknowledged(self, span: Span, size: int, now: float) -> None:
        raise AssertionError("nobody asked for acknowledgements")

    def total(self, span: Span) -> int:
        return sum(size for got, size in self.got if got is span)


spans = st.one_of(
    st.tuples(st.sampled_from([None, Span.HEAD, Span.BODY, Span.BODY]), st.integers(1, 9)),
    st.just((Span.END, 0)),
)


@quick
@given(st.lists(st.one_of(spans, st.integers(0, 12))))
def test_a_wire_log_pays_for_each_byte_once_and_in_order(
    steps: list[tuple[Span | None, int] | int],
) -> None:
    log, payee = WireLog(), Payee()
    model: list[tuple[int, int, Span]] = []
    for step in steps:
        if isinstance(step, int):
            log.accept(min(step, log.pushed - log.accepted), 0.0)
        elif step[0] is None:
            log.push(step[1])
        else:
            model.append((log.pushed, log.pushed + step[1], step[0]))
            log.push_span(step[1], step[0], payee)
            continue
        body = sum(max(min(end, log.accepted) - start, 0) for start, end, span in model if span is Span.BODY)
        assert payee.total(Span.BODY) == body
        # An END without bytes is paid by the next answer of the kernel, even if that was "none".
        if isinstance(step, int):
            for span in (Span.HEAD, Span.END):
                whole = [one for one in model if one[2] is span and one[1] <= log.accepted]
                assert [got for got, _ in payee.got if got is span] == [span] * len(whole)


# CommitSize: the three rules --------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(st.sampled_from([10, 16_384, 16_400, 65_536, 70_000]), st.sampled_from([0, 1, 9]))))
def test_commits_are_small_until_four_full_frames_in_a_row_were_taken_whole(
    frames: list[tuple[int, int]],
) -> None:
    commits, run = CommitSize(), 0
    for offered, missing in frames:
        full = offered >= commits.value
        run = 0 if missing else run + full
        commits.taken(offered, offered - missing)
        assert commits.value == (65_536 if run >= 4 else 16_384)


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


# SendQueue: who got how much of what, in order --------------------------------------------------------


class Line:
    """A send queue, and beside it every body with its writer (`None`: taken at once)."""

    def __init__(self) -> None:
        self.settled: list[Write] = []
        self.queue = SendQueue(self.settled.append, lambda write, error: None)
        self.calls: list[tuple[bytes, Write | None]] = []
        self.left: list[Write] = []
        self.out = b""

    @property
    def waiting(self) -> list[Write]:
        gone = [*self.settled, *self.left]
        return [write for _, write in self.calls if write is not None and write not in gone]

    def write(self, body: bytes, limit: int) -> None:
        fits = not self.waiting and self.queue.window.in_flight + len(body) <= limit
        assert self.queue.take_now(body, limit, 0.0) == fits
        self.calls.append((body, None if fits else Write(body, limit, inf)))
        if (write := self.calls[-1][1]) is not None:
            self.queue.line_up(write, 0.0)

    def frame(self, limit: int) -> None:
        """A frame that the kernel takes whole."""
        piece = bytes(self.queue.peek(limit, 0.0))
        self.queue.commit(len(piece))
        self.queue.pay(len(piece), 0.0)
        self.out += piece

    def leave(self, which: int) -> None:
        if self.waiting:
            self.left.append(self.waiting[which % len(self.waiting)])
            self.queue.leave(self.left[-1])
            self.queue.advance(0.0)

    def check(self) -> None:
        window, waiting = self.queue.window, self.waiting
        got = [(body, len(body) if write is None else write.accepted) for body, write in self.calls]
        accepted = b"".join(body[:size] for body, size in got)
        assert window.current == len(accepted)
        assert accepted.startswith(self.out)
        assert window.sent == window.committed == len(self.out)
        assert all(size in (0, len(body)) for (body, size) in got if len(body) <= 5)
        assert self.settled == [write for _, write in self.calls if write in self.settled]
        assert all(write.rest == 0 for write in self.settled)
        assert all(write.accepted == 0 for write in waiting[1:])
        assert not waiting or window.in_flight + waiting[0].rest > waiting[0].limit
        assert self.queue.has_frame or not waiting


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
def test_a_send_queue_accepts_in_order_and_tears_nothing_that_fits(steps: list[tuple[str, int, int]]) -> None:
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
