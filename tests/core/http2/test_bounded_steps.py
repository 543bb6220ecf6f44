"""Tiny frames are read in steps, with others between them, whatever came at once."""

import pytest
from tests.core.driving2 import Driven2

TINY = b"\0\0\1\0\0\0\0\0\1x"
COUNT = 64 * 1024 // len(TINY)
END = b"\0\0\0\0\1\0\0\0\1"


@pytest.fixture
def driven() -> Driven2:
    """A client that has begun to upload."""
    driven = Driven2()
    driven.client.request("/", "POST", body=None)
    driven.turn()
    return driven


def go_on(driven: Driven2) -> int:
    """Call `handle_timeout` for as long as it is due; return how often that was."""
    for turn in range(1000):
        deadline = driven.connection.next_deadline()
        if deadline is None or deadline > driven.now:
            return turn
        driven.advance(0)
    raise AssertionError("there is no end of it")


def test_a_body_in_frames_of_a_byte(driven: Driven2) -> None:
    driven.receive(TINY * COUNT)
    assert not driven.connection.wants_read
    assert go_on(driven) > 10
    assert driven.connection.wants_read
    driven.receive(END)
    assert driven.exchange.request.body == b"x" * COUNT


def test_what_has_come_is_not_late(driven: Driven2) -> None:
    driven.receive(TINY * COUNT + END)
    driven.advance(1000)
    go_on(driven)
    assert driven.refused == []
    assert len(driven.exchange.request.body) == COUNT


def test_a_fin_that_is_told_too_early_comes_behind_it(driven: Driven2) -> None:
    driven.receive(TINY * COUNT + END)
    driven.eof()
    assert len(driven.exchange.request.body) == COUNT
    # Nothing is left to be read when that is due.
    go_on(driven)
    assert len(driven.exchanges) == 1
    assert driven.refused == []


def test_a_connection_that_is_lost_meanwhile_is_over(driven: Driven2) -> None:
    driven.receive(TINY * COUNT + END)
    driven.lost()
    driven.advance(0)
    assert driven.exchanges == []
    assert driven.connection.close_expected()
