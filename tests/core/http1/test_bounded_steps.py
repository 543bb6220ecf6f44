"""A body in tiny chunks is read in steps, with others between them, whatever came at once."""

import sys
from types import FrameType

import pytest
from tests.core.driving import GET, Driven
from tests.core.uploads.uploading import Driven1Reading

from httpng_core.testing import Loopback

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
AT_ONCE = 64 * 1024
COUNT = AT_ONCE // 6
TINY = b"1\r\nx\r\n" * COUNT
LAST = b"0\r\n\r\n"
MOST_CALLS = 6000
"""Of Python functions, in one call of a verb; reading all at once takes five times as many."""


class Counting:
    """The most calls of Python functions that a verb took."""

    def __init__(self) -> None:
        self.most = self._calls = 0

    def __enter__(self) -> None:
        self._calls = 0
        sys.setprofile(self._count)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.most = max(self.most, self._calls)

    def _count(self, frame: FrameType, event: str, arg: object) -> None:
        self._calls += event == "call"


def go_on(driven: Driven, counting: Counting) -> int:
    """Call `handle_timeout` for as long as it is due; return how often that was."""
    for turn in range(1000):
        deadline = driven.connection.next_deadline()
        if deadline is None or deadline > driven.now:
            return turn
        assert not driven.connection.wants_read
        with counting:
            driven.advance(0)
    raise AssertionError("there is no end of it")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the reference go by bytes."""
    monkeypatch.setattr("tests.core.driving.ENGINE", "fast")


def test_a_body_that_is_read_whole() -> None:
    driven, counting = Driven(HEAD), Counting()
    with counting:
        driven.receive(TINY)
    assert go_on(driven, counting) > 5
    assert counting.most < MOST_CALLS
    assert driven.connection.wants_read
    driven.receive(LAST)
    assert len(driven.exchange.request.body) == COUNT


def test_a_body_that_its_handler_reads() -> None:
    driven, counting = Driven1Reading(HEAD), Counting()
    with counting:
        driven.receive(TINY)
    assert go_on(driven, counting) > 5
    assert counting.most < MOST_CALLS
    driven.receive(LAST)
    read = bytearray()
    while piece := driven.exchange.read(AT_ONCE, driven.now).value:
        read += piece
    assert read == b"x" * COUNT


def test_what_comes_in_between_is_read_behind_it() -> None:
    """A driver may have read more before it looked whether that is wanted; TLS opens what it has."""
    driven, counting = Driven(HEAD), Counting()
    for piece in (TINY, TINY, LAST + GET):
        with counting:
            driven.receive(piece)
    assert driven.exchanges == []
    go_on(driven, counting)
    assert counting.most < MOST_CALLS
    assert len(driven.exchange.request.body) == 2 * COUNT
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.exchange.request.method == "GET"


def test_what_has_come_is_not_late() -> None:
    driven = Driven(HEAD, body_timeout=5)
    driven.receive(TINY + LAST)
    driven.advance(60)
    go_on(driven, Counting())
    assert driven.refused == []
    assert len(driven.exchange.request.body) == COUNT


def test_a_fin_that_is_told_too_early_comes_behind_it() -> None:
    driven = Driven(HEAD)
    driven.receive(TINY + LAST)
    driven.eof()
    assert driven.refused == []
    assert len(driven.exchange.request.body) == COUNT


def test_a_connection_that_is_lost_meanwhile_is_over() -> None:
    driven = Driven(HEAD)
    driven.receive(TINY + LAST)
    driven.lost()
    driven.advance(0)
    assert driven.exchanges == []
    assert driven.connection.close_expected()


@pytest.mark.parametrize("size", [256, 4096, 32768])
def test_chunks_of_an_ordinary_size_are_read_at_once(size: int) -> None:
    driven = Driven(HEAD)
    count = AT_ONCE // size
    driven.receive((b"%x\r\n" % size + b"x" * size + b"\r\n") * count + LAST)
    assert len(driven.exchange.request.body) == size * count


def test_in_memory_nobody_has_to_turn_the_clock() -> None:
    loopback = Loopback(lambda req: f"{len(req.body)}")
    client = loopback.connect()
    client.send(HEAD + TINY + LAST)
    assert client.responses("POST")[0].body == b"%d" % COUNT
