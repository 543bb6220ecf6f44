"""A response that is given whole goes out in one go, and nothing but the way is another.

The long way is that of a driver that sets a limit for frames: it leads through them, however short the body.
The shortest way is that of an answer that is given what sends: then the kernel has it in that very call.
"""

from typing import Any

import pytest
from tests.core.driving import GET, GET_10, HEAD, Driven

from httpng_core import ContentLengthError, Readiness

HEADERS = {"content-type": "text/plain"}
BODY = b"hello"
LIMIT = 1 << 20
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def answered(received: bytes = GET, headers: Any = HEADERS, body: bytes = BODY, **settings: Any) -> Driven:
    driven = Driven(received, **settings)
    driven.clock.now += 0.25
    driven.exchange.answer(200, headers, body, driven.now)
    return driven


def seen(driven: Driven) -> tuple[object, ...]:
    """All that a handler, a driver, a client and the log can tell."""
    exchange, connection = driven.exchange, driven.connection
    return (
        bytes(driven.wire),
        exchange.stats(driven.now),
        exchange.committed,
        exchange.is_over,
        exchange.cause,
        exchange.first_sent,
        exchange.largest_lag,
        driven.outcomes,
        connection.accepted,
        connection.next_deadline(),
        connection.wants_write,
        connection.wants_read,
        connection.prepare() is Readiness.ASK,
        connection.close_expected(),
        connection.half_close_expected(),
    )


@pytest.mark.parametrize("received", [GET, GET_10, POST, CLOSE])
@pytest.mark.parametrize("body", [BODY, b""])
def test_whatever_the_kernel_takes_all_is_as_if_it_went_the_long_way(received: bytes, body: bytes) -> None:
    whole = answered(received, body=body)
    assert whole.exchange.is_whole
    whole.push()
    assert whole.exchange.is_over
    for taken in range(len(whole.wire) + 1):
        short, long = answered(received, body=body), answered(received, body=body)
        for limit, driven in (None, short), (LIMIT, long):
            driven.clock.now += 0.25
            driven.push(taken, limit)
        assert seen(short) == seen(long)
        for limit, driven in (None, short), (LIMIT, long):
            driven.clock.now += 0.25
            driven.push(limit=limit)
        assert seen(short) == seen(long)
        assert short.wire == whole.wire


class Kernel:
    """What is given to `answer`: it takes so many bytes of what it is asked to, and refuses the rest."""

    def __init__(self, driven: Driven, room: int) -> None:
        self.driven = driven
        self.room = room
        self.asked = 0

    def __call__(self, wire: bytes) -> int:
        self.asked += 1
        if not self.room:
            raise BlockingIOError
        self.driven.wire += wire[: self.room]
        return min(self.room, len(wire))


def answered_at_once(driven: Driven, room: int = 1 << 20, body: bytes = BODY, headers: Any = HEADERS) -> int:
    """The last exchange of `driven` has its answer; how often the kernel was asked."""
    kernel = Kernel(driven, room)
    driven.exchange.answer(200, headers, body, driven.now, kernel)
    return kernel.asked


@pytest.mark.parametrize("body", [BODY, b""])
def test_whatever_the_kernel_takes_at_once_is_as_if_it_went_the_long_way(body: bytes) -> None:
    whole = Driven()
    assert answered_at_once(whole, body=body) == 1
    assert whole.exchange.is_over
    for taken in range(len(whole.wire) + 1):
        at_once, long = Driven(), Driven()
        assert answered_at_once(at_once, taken, body) == 1
        long.exchange.answer(200, HEADERS, body, long.now)
        long.push(taken, LIMIT)
        assert seen(at_once) == seen(long)
        for driven in at_once, long:
            driven.clock.now += 0.25
            driven.push(limit=LIMIT)
        assert seen(at_once) == seen(long)
        assert at_once.wire == whole.wire


def test_what_is_sent_at_once_wakes_nobody_but_what_is_left_does() -> None:
    driven = Driven(tells_complete=False)
    for _ in range(3):
        assert answered_at_once(driven) == 1
        assert (driven.wakes, driven.outcomes, driven.connection.is_at_rest) == (0, [], True)
        driven.receive(GET)
    assert answered_at_once(driven, 10) == 1
    assert driven.wakes > 0
    driven.push()
    assert [response.body for response in driven.responses()] == [BODY] * 4


@pytest.mark.parametrize(
    "disturb",
    [
        lambda driven: driven.wait(5),
        lambda driven: driven.exchange.wait(5, driven.now, until="acked"),
        lambda driven: driven.exchange.wait_draining(driven.now, 9),
        lambda driven: setattr(driven.exchange, "on_over", lambda: None),
        lambda driven: driven.receive(GET),
        lambda driven: driven.eof(),
        lambda driven: driven.connection.drain(driven.now),
        lambda driven: driven.write(b"first "),
        lambda driven: setattr(driven.exchange, "stall_timeout", 9),
    ],
)
def test_nothing_is_sent_at_once_if_somebody_has_to_hear_of_it(disturb: Any) -> None:
    driven = Driven(tells_acknowledged=True)
    disturb(driven)
    assert answered_at_once(driven) == 0
    driven.push()
    assert BODY in driven.wire


def test_neither_is_what_is_out_of_the_ordinary() -> None:
    closed = {**HEADERS, "connection": "close"}
    for received, headers, body in (
        (HEAD, HEADERS, BODY),
        (GET_10, HEADERS, BODY),
        (CLOSE, HEADERS, BODY),
        (GET, closed, BODY),
        (GET, HEADERS, b"x" * 16_384),
        (GET, HEADERS, b"x" * 16_385),
    ):
        driven = Driven(received)
        assert answered_at_once(driven, body=body, headers=headers) == 0
        driven.push()
        assert driven.exchange.is_over


def test_an_error_of_the_socket_is_left_to_who_sends_next() -> None:
    def fail(wire: bytes) -> int:
        raise ConnectionResetError

    driven = Driven()
    driven.exchange.answer(200, HEADERS, BODY, driven.now, fail)
    assert driven.positions == (5, 0)
    driven.lost()
    assert (driven.outcomes, driven.positions) == (["cancelled"], (5, 0))


def test_http_10_is_answered_at_once_if_it_goes_on() -> None:
    driven = Driven(b"GET / HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n")
    assert answered_at_once(driven) == 1
    assert b"\r\nconnection: keep-alive\r\n\r\n" in driven.wire
    assert driven.connection.is_at_rest


def test_the_next_request_is_answered_likewise() -> None:
    driven = answered()
    driven.push()
    for _ in range(3):
        driven.receive(GET)
        driven.exchange.answer(200, HEADERS, BODY, driven.now)
        assert driven.exchange.is_whole
        driven.push()
    assert [response.body for response in driven.responses()] == [BODY] * 4


def test_a_refused_offer_can_still_be_dropped() -> None:
    driven = answered()
    assert driven.push(0) == 0
    assert (driven.exchange.committed, driven.positions) == (0, (5, 0))
    driven.lost()
    assert (driven.outcomes, driven.positions, driven.exchange.committed) == (["cancelled"], (5, 0), 0)


def test_more_than_was_offered_can_not_be_accepted() -> None:
    driven = answered()
    size = sum(map(len, driven.connection.data_to_send(driven.now)))
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        driven.connection.bytes_accepted(size + 1, driven.now)


def test_a_wait_settles_when_all_is_sent() -> None:
    driven = Driven()
    wait = driven.wait(5)
    driven.exchange.answer(200, HEADERS, BODY, driven.now)
    assert driven.exchange.is_whole
    assert not wait.settled
    driven.push()
    assert wait.settled


def test_acknowledgements_are_told_of_it() -> None:
    driven = Driven(tells_acknowledged=True)
    wait = driven.exchange.wait(5, driven.now, until="acked")
    driven.exchange.answer(200, HEADERS, BODY, driven.now)
    driven.push()
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert wait.settled
    assert driven.body == BODY


def test_a_response_out_of_the_ordinary_goes_the_long_way() -> None:
    for driven in (answered(HEAD), answered(body=b"x" * 16_385), answered(default_send_window=4)):
        assert not driven.exchange.is_whole
        driven.push()
        assert driven.exchange.is_over
    written = Driven()
    written.write(b"first ")
    written.exchange.answer(200, HEADERS, BODY, written.now)
    assert not written.exchange.is_whole
    written.push()
    assert written.body == b"first hello"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_goes_the_long_way(status: int) -> None:
    driven = Driven()
    driven.exchange.answer(status, HEADERS, b"", driven.now)
    assert not driven.exchange.is_whole
    driven.push()
    [response] = driven.responses()
    assert (response.status, response.body) == (status, b"")


def test_default_headers_are_added() -> None:
    driven = Driven(headers={"x-a": "b"})
    driven.exchange.answer(200, HEADERS, BODY, driven.now)
    driven.push()
    [response] = driven.responses()
    assert (response.headers["x-a"], response.body) == ("b", BODY)


def test_a_length_that_is_not_the_body_s_raises() -> None:
    with pytest.raises(ContentLengthError, match="content-length is 4, and the body"):
        answered(headers={"content-length": 4})
    right = answered(headers={"content-length": 5})
    assert right.exchange.is_whole
    right.push()
    assert right.body == BODY
