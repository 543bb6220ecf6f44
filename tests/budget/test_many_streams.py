"""What a write costs on a connection with many streams: those that have nothing to send cost nothing.

Counted are the byte codes of core's functions, as a look at each stream calls few of them. Those of a
compiled core can't be seen.
"""

import sys
from collections.abc import Callable
from inspect import currentframe
from types import FrameType
from typing import Any

import pytest
from tests.core.driving2 import Driven2

from httpng_core import Exchange

FEW, MANY = 10, 90


def codes_in_core(run: Callable[[], object]) -> int:
    codes = 0

    def begin(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_globals["__name__"].startswith("httpng_core."):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal codes
        codes += event == "opcode"
        return count

    before, here = sys.gettrace(), currentframe()
    assert here is not None
    # Before it is set: Python 3.12 looks only then whether byte codes are traced in any frame.
    here.f_trace_opcodes = True
    sys.settrace(begin)
    try:
        run()
    finally:
        sys.settrace(before)
    return codes


def codes_of_a_write(others: int, size: int, begin: Callable[[Exchange, float], object]) -> int:
    """What core does for a write on one stream, beside so many `others` that have begun like that."""
    driven = Driven2(1 << 24)
    driven.client.give(1 << 30)
    for _ in range(others):
        begin(driven.begin()[0], driven.now)
        driven.turn()
    writer, stream = driven.begin()
    writer.write(b"warm" * 100_000, driven.now)
    driven.turn()
    connection = driven.connection

    def write() -> None:
        writer.write(b"x" * size, driven.now)
        while connection.wants_write:
            offer = b"".join(connection.data_to_send(driven.now))
            connection.bytes_accepted(len(offer), driven.now)
            driven.wire += offer

    write()
    codes = codes_in_core(write)
    driven.push()
    assert len(stream.body) == 400_000 + 2 * size
    return codes


def waits(exchange: Exchange, now: float) -> None:
    """A handler that has not answered."""


def streams(exchange: Exchange, now: float) -> None:
    """One that has sent something, and will send more."""
    exchange.write(b"data", now)


@pytest.mark.parametrize("size", [100, 60_000])
@pytest.mark.parametrize("begin", [waits, streams])
def test_others_that_have_nothing_to_send_cost_nothing(begin: Any, size: int) -> None:
    few, many = (codes_of_a_write(others, size, begin) for others in (FEW, MANY))
    assert 100 < many <= few + 20
