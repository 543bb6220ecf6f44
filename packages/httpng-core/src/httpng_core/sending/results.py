"""What a send call tells its caller: `SendResult`, `SendStats` and the helpers that read them.

A send result is one integer, so that Lua can hold it and a million of them cost nothing:

    bits 0-1   which call it came from: 1 write, 2 write_header, 3 wait
    bit  2     the exchange is cancelled
    bit  3     the header block has been passed to the TCP/IP stack
    bit  4     the condition of the wait was met
    bits 5-    how many bytes of this body were accepted

The kind is never 0, so a result is never 0 and is truthy in Lua and in Python. `None` (`nil`)
stands for "done, nothing to report".
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from httpng_core.sending.holders import Holder

_KIND: Final = 0b11
_CANCELLED: Final = 1 << 2
_HEADERS: Final = 1 << 3
_REACHED: Final = 1 << 4
_BYTES_SHIFT: Final = 5
# LuaJIT numbers are doubles: a result must stay an exact integer there.
_MAX_RESULT: Final = 1 << 53


class Call(IntEnum):
    """The call that a send result came from."""

    WRITE = 1
    WRITE_HEADER = 2
    WAIT = 3


class SendResult(int):
    """An immutable snapshot of how a send call ended; an integer inside, never 0.

    The calls of handlers return it. The properties say the same as the module functions of those names.
    """

    __slots__ = ()

    @property
    def cancelled(self) -> bool:
        """Whether the exchange was cancelled: the client is gone."""
        return bool(self & _CANCELLED)

    @property
    def headers_were_sent(self) -> bool:
        """Whether the TCP/IP stack had taken the whole header block."""
        return bool(self & _HEADERS)

    @property
    def body_bytes_sent(self) -> int:
        """How many bytes of this call's body were accepted. The rest is not sent, ever.

        Raises:
            ValueError: the result is not from `write`.
        """
        return body_bytes_sent(self)

    @property
    def reached(self) -> bool:
        """Whether the position waited for was reached.

        Raises:
            ValueError: the result is not from `wait`.
        """
        return reached(self)

    def described(self) -> tuple[str, dict[str, object]]:
        """Name the call that it came from, and tell what is known of that by the names of the properties."""
        call = Call(self & _KIND)
        told: dict[str, object] = {"cancelled": self.cancelled, "headers_were_sent": self.headers_were_sent}
        if call is Call.WRITE:
            told["body_bytes_sent"] = self >> _BYTES_SHIFT
        if call is Call.WAIT:
            told["reached"] = bool(self & _REACHED)
        return call.name.lower(), told

    def __repr__(self) -> str:
        call, told = self.described()
        return f"<SendResult of {call}: {', '.join(f'{name}={value}' for name, value in told.items())}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendStats:
    """Where an exchange stands, in bytes of the response body. A snapshot.

    Attributes:
        current: accepted from the handler; it will go out unless the exchange is cancelled.
        sent: passed to the TCP/IP stack: the kernel's own return value said so.
        acked: acknowledged by the client's TCP; `None` where that is not known.
        cancelled: the client is gone, or the server gave the exchange up.
        headers_were_sent: the TCP/IP stack has taken the whole header block.
        confirmed: confirmed by the client's program; `None` while it isn't asked.
        lag: seconds that the oldest byte in flight has waited, to the millisecond.
        stalled_by: who holds what is on its way, a `Holder`; "handler" if nothing is. `None`: nobody, bytes
            are moving right now; or it is over; or the platform can't tell.
    """

    current: int
    sent: int
    acked: int | None
    cancelled: bool
    headers_were_sent: bool
    lag: float
    confirmed: int | None = None
    stalled_by: Holder | None = field(default=None, compare=False)


def encode_result(
    call: Call, *, cancelled: bool, headers_were_sent: bool, body_bytes: int = 0, reached: bool = False
) -> SendResult:
    """Pack the outcome of a call into a `SendResult`."""
    value = int(call) | body_bytes << _BYTES_SHIFT
    value |= _CANCELLED if cancelled else 0
    value |= _HEADERS if headers_were_sent else 0
    value |= _REACHED if reached else 0
    return SendResult(value)


def cancelled(result: int | None) -> bool | None:
    """Return whether the client was gone; `None` for `None`.

    Raises:
        TypeError: not an integer and not `None`.
        ValueError: a number that no call could have returned.
    """
    return None if result is None else bool(_checked(result) & _CANCELLED)


def headers_were_sent(result: int | None) -> bool:
    """Return whether the TCP/IP stack had the whole header block; true for `None`.

    The `None` of a first `write` says accepted: then `get_send_stats` tells whether the block has gone.

    Raises:
        TypeError: not an integer and not `None`.
        ValueError: a number that no call could have returned.
    """
    return True if result is None else bool(_checked(result) & _HEADERS)


def body_bytes_sent(result: int | None) -> int:
    """Return how many bytes of the written body were accepted; what is beyond them is not sent.

    Raises:
        TypeError: `None`, or not an integer.
        ValueError: the result of another call than `write`, or a number no call could have returned.
    """
    value = _checked_of(result, Call.WRITE, "body_bytes_sent")
    return value >> _BYTES_SHIFT


def reached(result: int | None) -> bool:
    """Return whether the position that a `wait` waited for was reached.

    Raises:
        TypeError: `None`, or not an integer.
        ValueError: the result of another call than `wait`, or a number no call could have returned.
    """
    return bool(_checked_of(result, Call.WAIT, "reached") & _REACHED)


def _checked_of(result: int | None, call: Call, helper: str) -> int:
    if result is None:
        raise TypeError(f"{helper}() needs the send_result of a {call.name.lower()}, got nothing (nil)")
    value = _checked(result)
    if value & _KIND != call:
        other = Call(value & _KIND).name.lower()
        raise ValueError(f"{helper}() needs the send_result of a {call.name.lower()}, got one of a {other}")
    return value


def _checked(result: int) -> int:
    if isinstance(result, bool) or not isinstance(result, int):
        raise TypeError(f"not a send_result: {type(result).__name__}")
    if not 0 < result < _MAX_RESULT or not _possible(result):
        raise ValueError(f"not a send_result: {int(result)}")
    return int(result)


def _possible(value: int) -> bool:
    kind, body_bytes = value & _KIND, value >> _BYTES_SHIFT
    if kind == 0 or (value & _REACHED and kind != Call.WAIT):
        return False
    if kind == Call.WRITE_HEADER and value & (_HEADERS | _CANCELLED) == _HEADERS:
        # It was done: that is `None`.
        return False
    return kind == Call.WRITE or body_bytes == 0
