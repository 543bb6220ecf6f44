"""A piece of a response that goes to the kernel in the call that writes it: only the way is another."""

from typing import Any

import pytest
from tests.core.driving import GET_10, HEAD, Driven

from httpng_core import Readiness

PIECE = b"data: 1\n\n"
CHUNK = b"9\r\ndata: 1\n\n\r\n"


def streaming(*, sent: bool = True, **given: Any) -> Driven:
    """One of whose response the kernel has the head and a first piece."""
    driven = Driven(**given)
    driven.write(b"first")
    if sent:
        driven.push()
    driven.clock.now += 0.25
    return driven


def written_at_once(driven: Driven, room: int = 1 << 20, piece: bytes = PIECE) -> tuple[bool, int]:
    """Whether a piece was written, and how often the kernel was asked, which takes so many bytes of it."""
    asked = []

    def kernel(wire: bytes) -> int:
        asked.append(wire)
        if not room:
            raise BlockingIOError
        driven.wire += wire[:room]
        return min(room, len(wire))

    return driven.exchange.send_piece(piece, driven.now, kernel), len(asked)


def seen(driven: Driven) -> tuple[object, ...]:
    """All that a handler, a driver and a client can tell."""
    exchange, connection = driven.exchange, driven.connection
    return (
        bytes(driven.wire),
        exchange.stats(driven.now),
        exchange.committed,
        exchange.largest_lag,
        driven.outcomes,
        connection.accepted,
        connection.next_deadline(),
        connection.wants_write,
        connection.wants_read,
        connection.prepare() is Readiness.ASK,
        connection.close_expected(),
    )


@pytest.mark.parametrize("taken", range(len(CHUNK) + 1))
def test_whatever_the_kernel_takes_is_as_if_it_was_written_and_pushed(taken: int) -> None:
    at_once, long = streaming(), streaming()
    assert written_at_once(at_once, taken) == (True, 1)
    assert long.write(PIECE).settled
    long.push(taken)
    assert seen(at_once) == seen(long)
    for driven in at_once, long:
        driven.clock.now += 0.25
        driven.push()
        driven.exchange.finish(driven.now)
        driven.push()
    assert seen(at_once) == seen(long)
    assert at_once.body == b"first" + PIECE


def test_a_piece_that_went_wakes_nobody_and_one_that_was_cut_does() -> None:
    driven = streaming()
    before = driven.wakes
    assert written_at_once(driven) == (True, 1)
    assert (driven.wakes, driven.connection.is_at_rest) == (before, True)
    assert driven.positions == (5 + len(PIECE), 5 + len(PIECE))
    assert written_at_once(driven, 3) == (True, 1)
    assert driven.wakes > before
    assert driven.positions == (5 + 2 * len(PIECE), 5 + len(PIECE))
    assert written_at_once(driven) == (False, 0), "what was cut goes first"


@pytest.mark.parametrize(
    "disturb",
    [
        lambda driven: driven.write(b"x"),
        lambda driven: driven.write(b"x" * 10, timeout=9, window=0),
        lambda driven: driven.wait(1000),
        lambda driven: driven.exchange.wait(7, driven.now, until="acked"),
        lambda driven: setattr(driven.exchange, "stall_timeout", 9),
        lambda driven: driven.exchange.set_window(4, driven.now),
        lambda driven: driven.receive(b"GET / HTTP/1.1\r\n"),
        lambda driven: driven.eof(),
        lambda driven: driven.lost(),
        lambda driven: driven.exchange.finish(driven.now),
        lambda driven: driven.exchange.reset(driven.now),
    ],
)
def test_nothing_is_done_if_something_stands_in_its_way(disturb: Any) -> None:
    driven = streaming(tells_acknowledged=True)
    disturb(driven)
    before = seen(driven)
    assert written_at_once(driven) == (False, 0)
    assert seen(driven) == before


@pytest.mark.parametrize(
    "given",
    [
        {"received": HEAD},
        {"received": GET_10},
        {"sent": False},
        {"default_send_window": 8},
        {"default_send_window": "auto", "tells_acknowledged": True},
        {"default_window_until": "acked", "tells_acknowledged": True},
    ],
)
def test_neither_is_it_of_a_response_that_is_not_chunked_by_itself(given: dict[str, Any]) -> None:
    driven = streaming(**given)
    before = seen(driven)
    assert written_at_once(driven) == (False, 0)
    assert seen(driven) == before


@pytest.mark.parametrize("size", [0, 16_380, 16_385])
def test_neither_is_it_of_no_bytes_or_of_many(size: int) -> None:
    assert written_at_once(streaming(), piece=b"x" * size) == (False, 0)


def test_a_response_with_a_length_goes_the_long_way() -> None:
    driven = Driven()
    driven.header(200, {"content-length": 14})
    driven.write(b"first")
    driven.push()
    assert written_at_once(driven) == (False, 0)


def test_an_error_of_the_socket_is_left_to_who_sends_next() -> None:
    def fail(wire: bytes) -> int:
        raise ConnectionResetError

    driven = streaming()
    assert driven.exchange.send_piece(PIECE, driven.now, fail)
    assert driven.positions == (5 + len(PIECE), 5)
    driven.lost()
    assert (driven.outcomes, driven.positions) == (["cancelled"], (5 + len(PIECE), 5))
