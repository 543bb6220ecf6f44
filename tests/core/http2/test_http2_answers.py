"""Answers that are given whole go out together in one offer, which can be taken back.

The long way is that of a driver that sets a limit for frames: it leads through the ordinary ones.
"""

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.driving2 import Driven2

from httpng_core import Admission, Exchange, Host, Readiness
from httpng_core.testing import ReceivedStream

HEADERS = {"content-type": "text/plain"}
BODIES = [b"hello", b"", b"x" * 300]
LIMIT = 1 << 20
CANCEL = (8).to_bytes(4)
NO_WINDOW = b"\0\0\6\4\0\0\0\0\0" + b"\0\4" + bytes(4)
NO_TABLE = b"\0\0\6\4\0\0\0\0\0" + b"\0\1" + bytes(4)

Begun = list[tuple[Exchange, ReceivedStream]]


def answered(bodies: list[bytes] = BODIES, **settings: Any) -> tuple[Driven2, Begun]:
    """One whose client has asked so often, and the handlers have answered."""
    driven = Driven2(1 << 20, **settings)
    begun = [driven.begin() for _ in bodies]
    driven.clock.now += 0.25
    for (exchange, _), body in zip(begun, bodies, strict=True):
        exchange.answer(200, HEADERS, body, driven.now)
    return driven, begun


def rst_stream(stream_id: int) -> bytes:
    return b"\0\0\4\3\0" + stream_id.to_bytes(4) + CANCEL


def seen(driven: Driven2, begun: Begun, begin: int) -> list[object]:
    """All that handlers, a driver, a client and the log can tell."""
    told: list[object] = [
        (exchange.stats(driven.now), exchange.is_over, exchange.first_sent, exchange.largest_lag, stream.body)
        for exchange, stream in begun
    ]
    connection = driven.connection
    told += [driven.outcomes, bytes(driven.wire[begin:]), connection.wants_write, connection.next_deadline()]
    return told


def test_they_are_one_offer_that_need_not_be_asked_for() -> None:
    driven, begun = answered()
    assert all(exchange.is_whole for exchange, _ in begun)
    assert driven.connection.prepare() is Readiness.OFFER
    (wire,) = driven.connection.data_to_send(driven.now)
    driven.connection.bytes_accepted(len(wire), driven.now)
    driven.client.receive(bytes(wire))
    assert [stream.body for _, stream in begun] == BODIES
    assert all(stream.complete for _, stream in begun)
    assert driven.outcomes == ["complete"] * 3
    assert driven.connection.prepare() is Readiness.NOTHING


def test_whatever_the_kernel_takes_it_is_as_if_they_went_the_long_way() -> None:
    driven, _ = answered()
    begin = len(driven.wire)
    for taken in range(driven.push() + 1):
        short, long = answered(), answered()
        for limit, (driven, _) in (None, short), (LIMIT, long):
            driven.clock.now += 0.25
            driven.push(taken, limit)
        assert seen(*short, begin) == seen(*long, begin)
        for limit, (driven, _) in (None, short), (LIMIT, long):
            driven.clock.now += 0.25
            driven.push(limit=limit)
        assert seen(*short, begin) == seen(*long, begin)
        assert [stream.body for _, stream in short[1]] == BODIES


def test_what_the_kernel_has_not_begun_is_not_committed() -> None:
    driven, begun = answered()
    assert driven.push(10) == 10
    assert [exchange.committed for exchange, _ in begun] == [5, 0, 0]
    driven.push()
    assert [exchange.stats(driven.now).sent for exchange, _ in begun] == [5, 0, 300]


def test_a_stream_that_is_reset_after_a_refusal_sends_nothing() -> None:
    driven, begun = answered()
    driven.push(0)
    assert [exchange.committed for exchange, _ in begun] == [0, 0, 0]
    driven.receive(rst_stream(5))
    driven.turn()
    assert [stream.complete for _, stream in begun] == [True, True, False]
    exchange, stream = begun[2]
    assert not stream.body
    assert exchange.stats(driven.now).sent == 0
    assert driven.outcomes == ["cancelled", "complete", "complete"]


@pytest.mark.parametrize("taken", [0, 1, 60, 200, 10_000])
@pytest.mark.parametrize("by", ["client", "server", "handler", "window"])
def test_what_changes_while_they_are_offered_comes_behind_them(by: str, taken: int) -> None:
    driven, begun = answered()
    (wire,) = driven.connection.data_to_send(driven.now)
    exchange = begun[0][0]
    if by == "client":
        driven.receive(rst_stream(1))
    elif by == "server":
        exchange.reset(driven.now)
    elif by == "handler":
        exchange.cancel(driven.now)
    else:
        driven.receive(NO_WINDOW)
    assert sum(exchange.committed for exchange, _ in begun) == 305
    taken = min(taken, len(wire))
    driven.connection.bytes_accepted(taken, driven.now)
    driven.client.receive(bytes(wire[:taken]))
    driven.wire += wire[:taken]
    driven.read = len(driven.wire)
    driven.turn()
    if by == "client":
        # Its client has forgotten what it has reset.
        begun = begun[1:]
    assert [stream.body for _, stream in begun] == BODIES[3 - len(begun) :]
    assert exchange.stats(driven.now).sent == 5
    assert driven.connection.prepare() is Readiness.NOTHING


def test_one_that_is_over_is_not_offered_even_by_who_is_told_so_first() -> None:
    driven, begun = answered()
    (exchange, _), others = begun[2], begun[:2]

    def push() -> None:
        driven.push()

    exchange.on_over = push
    exchange.reset(driven.now)
    assert driven.outcomes == ["complete", "complete", "reset"]
    driven.turn()
    assert [stream.body for _, stream in others] == BODIES[:2]
    assert all(stream.complete for _, stream in others)
    assert begun[2][1].reset is not None
    assert exchange.stats(driven.now).sent == 0


def test_one_that_was_reset_does_not_stand_for_another_stream() -> None:
    driven = Driven2()
    gone, _ = driven.begin()
    gone.answer(200, HEADERS, b"", driven.now)
    driven.receive(rst_stream(1))
    exchange, stream = driven.begin()
    exchange.finish(driven.now)
    assert driven.connection.wants_write
    assert driven.connection.data_to_send(driven.now)
    driven.turn()
    assert stream.complete


def test_one_that_can_not_go_whole_goes_at_once() -> None:
    driven = Driven2(100, reads=False)
    exchange, stream = driven.begin()
    exchange.answer(200, HEADERS, b"x" * 300, driven.now)
    assert driven.connection.prepare() is Readiness.OFFER
    assert driven.connection.data_to_send(driven.now)
    driven.turn()
    assert len(stream.body) == 100


def test_a_lost_connection_has_sent_nothing_of_what_was_offered() -> None:
    driven, begun = answered()
    assert driven.connection.data_to_send(driven.now)
    driven.lost()
    assert [exchange.stats(driven.now).sent for exchange, _ in begun] == [0, 0, 0]
    assert driven.outcomes == ["cancelled"] * 3


def test_more_than_was_offered_can_not_be_accepted() -> None:
    driven, _ = answered()
    size = len(driven.connection.data_to_send(driven.now)[0])
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        driven.connection.bytes_accepted(size + 1, driven.now)


def test_one_that_its_window_is_too_small_for_goes_by_frames_and_holds_up_no_other() -> None:
    driven = Driven2(100, reads=False)
    begun = [driven.begin() for _ in BODIES]
    for (exchange, _), body in zip(begun, BODIES, strict=True):
        exchange.answer(200, HEADERS, body, driven.now)
    driven.turn()
    assert [stream.complete for _, stream in begun] == [True, True, False]
    assert len(begun[2][1].body) == 100
    driven.client.give(200, 5)
    driven.turn()
    assert [stream.body for _, stream in begun] == BODIES


def test_the_window_of_the_connection_bounds_all_of_them() -> None:
    driven = Driven2(1 << 20, reads=False)
    begun = [driven.begin() for _ in range(10)]
    for exchange, _ in begun:
        exchange.answer(200, HEADERS, b"x" * 10_000, driven.now)
    driven.turn()
    assert sum(len(stream.body) for _, stream in begun) == 65_535
    driven.client.give(1 << 20)
    driven.turn()
    assert all(stream.body == b"x" * 10_000 for _, stream in begun)


@pytest.mark.parametrize("urgencies", [["", "", ""], ["u=5", "", "u=0"], ["u=3", "u=3", "u=3"]])
def test_more_than_may_go_at_once_goes_by_urgency_then_the_oldest_first(urgencies: list[str]) -> None:
    driven = Driven2(1 << 20)
    begun = [driven.begin(headers=(("priority", value),) if value else ()) for value in urgencies]
    for exchange, _ in reversed(begun):
        exchange.answer(200, HEADERS, b"x" * 10_000, driven.now)
    order: list[int] = []
    while driven.connection.wants_write:
        assert driven.connection.prepare() is Readiness.OFFER
        (wire,) = driven.connection.data_to_send(driven.now)
        assert len(wire) < 16 * 1024
        driven.connection.bytes_accepted(len(wire), driven.now)
        driven.client.receive(bytes(wire))
        order += [
            number for number, (_, stream) in enumerate(begun) if stream.complete and number not in order
        ]
    assert order == ([2, 1, 0] if "u=0" in urgencies else [0, 1, 2])


def test_who_streams_has_its_turn_beside_them() -> None:
    driven = Driven2(1 << 20)
    (streamed, stream), *others = [driven.begin() for _ in range(3)]
    streamed.write(b"y" * 1000, driven.now)
    for exchange, _ in others:
        exchange.answer(200, HEADERS, b"hello", driven.now)
    assert driven.connection.prepare() is Readiness.ASK
    driven.turn()
    assert stream.body == b"y" * 1000
    assert [other.body for _, other in others] == [b"hello"] * 2
    streamed.answer(200, None, b"z", driven.now)
    driven.turn()
    assert stream.body == b"y" * 1000 + b"z"
    assert stream.complete


def test_acknowledgements_are_told_of_them() -> None:
    driven = Driven2(1 << 20, tells_acknowledged=True)
    begun = [driven.begin() for _ in range(2)]
    waits = [exchange.wait(5, driven.now, until="acked") for exchange, _ in begun]
    for exchange, _ in begun:
        exchange.answer(200, HEADERS, b"hello", driven.now)
    driven.turn()
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert [wait.settled for wait in waits] == [True, True]


def wait_for_five(driven: Driven2, exchange: Exchange) -> Callable[[], bool]:
    wait = exchange.wait(5, driven.now)
    return lambda: wait.settled


def wait_for_the_drain(driven: Driven2, exchange: Exchange) -> Callable[[], bool]:
    wait = exchange.wait_draining(driven.now)
    return lambda: wait.settled


def call_back(_driven: Driven2, exchange: Exchange) -> Callable[[], bool]:
    called: list[bool] = []
    exchange.on_over = lambda: called.append(exchange.is_over)
    return lambda: called == [True]


def watch_for_stalls(_driven: Driven2, exchange: Exchange) -> Callable[[], bool]:
    exchange.stall_timeout = 9
    assert exchange.stalls is not None
    return lambda: exchange.stalls is None


@pytest.mark.parametrize("limit", [None, LIMIT])
@pytest.mark.parametrize("concern", [wait_for_five, wait_for_the_drain, call_back, watch_for_stalls])
def test_who_is_concerned_by_one_of_them_is_told(
    concern: Callable[[Driven2, Exchange], Callable[[], bool]], limit: int | None
) -> None:
    driven = Driven2(1 << 20)
    begun = [driven.begin() for _ in BODIES]
    are_told = [concern(driven, exchange) for exchange, _ in begun[:2]]
    for (exchange, _), body in zip(begun, BODIES, strict=True):
        exchange.answer(200, HEADERS, body, driven.now)
    assert not any(is_told() for is_told in are_told)
    driven.push(limit=limit)
    assert all(is_told() for is_told in are_told)
    assert [stream.body for _, stream in begun] == BODIES
    assert driven.outcomes == ["complete"] * 3
    assert not driven.connection.exchanges()


def test_the_connection_is_idle_once_the_last_of_them_is_out() -> None:
    admission = Admission()
    driven, _ = answered(keepalive_timeout=7, host=Host(lambda: None, admission=admission))
    other, stream = driven.begin()
    driven.push()
    assert admission.under_way == 1
    assert driven.connection.exchanges() == [other]
    other.answer(200, HEADERS, b"last", driven.now)
    driven.clock.now += 1
    driven.push()
    assert stream.body == b"last"
    assert driven.connection.is_at_rest
    driven.advance(6.5)
    assert not driven.connection.wants_write
    driven.advance(1)
    assert driven.connection.wants_write


def test_one_that_asks_for_the_end_of_the_connection_is_the_last() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.answer(200, {"connection": "close"}, b"bye", driven.now)
    assert exchange.is_whole
    driven.turn()
    assert stream.complete
    assert stream.body == b"bye"
    assert driven.connection.half_close_expected() or driven.connection.close_expected()


# In the call that gives it ----------------------------------------------------------------------------


def answered_at_once(driven: Driven2, body: bytes = b"hello", room: int = 1 << 20, headers: Any = ()) -> int:
    """The last exchange has its answer, of which the kernel takes so much; how often that was asked."""
    asked = []

    def send(wire: bytes) -> int:
        asked.append(wire)
        if not room:
            raise BlockingIOError
        driven.wire += wire[:room]
        return min(room, len(wire))

    driven.exchange.answer(200, {**HEADERS, **dict(headers)}, body, driven.now, send)
    return len(asked)


@pytest.mark.parametrize("body", BODIES)
def test_whatever_the_kernel_takes_at_once_is_as_if_it_went_the_long_way(body: bytes) -> None:
    at_once = Driven2()
    at_once.begin()
    begin = len(at_once.wire)
    assert answered_at_once(at_once, body) == 1
    assert at_once.exchange.is_over
    for taken in range(len(at_once.wire) - begin + 1):
        at_once, long = Driven2(), Driven2()
        both = [(driven, [driven.begin()]) for driven in (at_once, long)]
        assert answered_at_once(at_once, body, taken) == 1
        long.exchange.answer(200, HEADERS, body, long.now)
        long.push(taken, LIMIT)
        Driven2.push(at_once, 0)
        assert seen(*both[0], begin) == seen(*both[1], begin)
        for driven, _ in both:
            driven.clock.now += 0.25
            driven.push(limit=LIMIT)
        assert seen(*both[0], begin) == seen(*both[1], begin)
        assert both[0][1][0][1].body == body


def test_what_is_sent_at_once_wakes_nobody_but_what_is_left_does() -> None:
    driven = Driven2(tells_complete=False)
    for _ in range(3):
        driven.begin()
        driven.wakes = 0
        assert answered_at_once(driven) == 1
        assert (driven.wakes, driven.outcomes, driven.connection.is_at_rest) == (0, [], True)
        driven.push()
    _, stream = driven.begin()
    assert answered_at_once(driven, room=10) == 1
    assert driven.wakes > 0
    driven.push()
    assert stream.complete


@pytest.mark.parametrize(
    "disturb",
    [
        lambda driven: driven.begin(),
        lambda driven: driven.wait(5),
        lambda driven: driven.exchange.wait(5, driven.now, until="acked"),
        lambda driven: setattr(driven.exchange, "on_over", lambda: None),
        lambda driven: driven.receive(NO_WINDOW),
        lambda driven: driven.eof(),
        lambda driven: driven.connection.drain(driven.now),
        lambda driven: driven.write(b"first "),
        lambda driven: setattr(driven.exchange, "stall_timeout", 9),
    ],
)
def test_nothing_is_sent_at_once_if_somebody_else_is_concerned(disturb: Any) -> None:
    driven = Driven2(tells_acknowledged=True)
    driven.begin()
    disturb(driven)
    assert answered_at_once(driven) == 0


def test_neither_is_the_first_after_the_client_has_taken_its_table_away() -> None:
    """Its header block has to begin with that (RFC 7541, 4.2)."""
    driven = Driven2()
    _, stream = driven.begin()
    driven.receive(NO_TABLE)
    driven.push()
    driven.connection.prepare()
    assert answered_at_once(driven) == 0
    driven.turn()
    assert stream.complete
    driven.begin()
    assert answered_at_once(driven) == 1


def test_neither_is_what_is_out_of_the_ordinary() -> None:
    for window, method, headers, body in (
        (1 << 20, "HEAD", {}, b"hello"),
        (1 << 20, "GET", {"connection": "close"}, b"hello"),
        (1 << 20, "GET", {}, b"x" * 16_384),
        (1 << 20, "GET", {}, b"x" * 16_385),
        (4, "GET", {}, b"hello"),
    ):
        driven = Driven2(window)
        _, stream = driven.begin(method=method)
        assert answered_at_once(driven, body, headers=headers) == 0
        driven.turn()
        assert stream.complete
        assert stream.body == (b"" if method == "HEAD" else body)


def test_more_of_a_batch_than_was_offered_is_a_mistake_of_the_driver() -> None:
    driven = Driven2()
    exchanges = [driven.begin()[0] for _ in range(2)]
    for exchange in exchanges:
        exchange.answer(200, {}, b"x", driven.now)
    offered = sum(map(len, driven.connection.data_to_send(driven.now)))
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        driven.connection.bytes_accepted(offered + 1, driven.now)
