"""Writes of callers that await only what has to wait."""

from httpng_core import Pending, SendResult
from httpng_driver.handlers.io import IO, sent_at_once


def begin_write(io: IO, body: bytes | str | bytearray | memoryview) -> Pending | None:
    """Begin a `write`.

    Returns:
        `None` if the body is accepted and nothing is to be awaited, else what `settled` is to be awaited for.
    """
    if sent_at_once(io, body):
        return None
    pending, turn = io._begin_write(body, None), io._turn
    if (
        not pending.settled
        or turn is None
        or io._exchange.buffered >= io._turns.gathered
        or turn.is_over(io._clock, io._turns)
        or pending.result is not None
    ):
        return pending
    return None


async def settled(io: IO, pending: Pending) -> SendResult | None:
    """Wait until a call of `io` has settled, and let others run if they have waited; return its result."""
    return await io._settled(pending)
