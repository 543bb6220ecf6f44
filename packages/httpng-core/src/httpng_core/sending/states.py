"""The response state table: which call of a handler, or what event, leads where.

This file may not know about bytes, windows, time or protocols. It says what is allowed, and nothing
else does. `TABLE` is total: every state has an entry for every event.

    OPEN ── write_header, write ──> STREAMING ── end ──> ENDED ── flushed ──> CLOSED
      └── end ───────────────────────────────────────────^

From each of the first three, `cancel` leads to CANCELLED (the client is gone) and `abort` to ABORTED
(we reset it). The last three are final.
"""

from enum import IntEnum, auto
from types import MappingProxyType
from typing import Final

from httpng_core.errors import ResponseStateError


class ResponseState(IntEnum):
    """Where a response stands."""

    OPEN = auto()
    """No header block was given yet."""
    STREAMING = auto()
    """The header block was given; body bytes may follow."""
    ENDED = auto()
    """The handler is done; what was accepted is being flushed."""
    CLOSED = auto()
    """The TCP/IP stack has all of it."""
    CANCELLED = auto()
    """The client is gone."""
    ABORTED = auto()
    """We gave the exchange up and reset it."""


class ResponseEvent(IntEnum):
    """What can happen to a response."""

    WRITE_HEADER = auto()
    WRITE = auto()
    END = auto()
    FLUSHED = auto()
    CANCEL = auto()
    ABORT = auto()


_S, _E = ResponseState, ResponseEvent
_ALREADY = "Handler has already written header"
_OPEN_FLUSHED = "a response that has not begun can't be flushed"
_STREAMING_FLUSHED = "a response that has not ended can't be flushed"


def _final(state: ResponseState) -> dict[tuple[ResponseState, ResponseEvent], ResponseState | str]:
    # Calls after the end are no mistake: the handler can't know. They return at once, cancelled.
    return {(state, event): state for event in ResponseEvent}


TABLE: Final = MappingProxyType(
    {
        (_S.OPEN, _E.WRITE_HEADER): _S.STREAMING,
        (_S.OPEN, _E.WRITE): _S.STREAMING,
        (_S.OPEN, _E.END): _S.ENDED,
        (_S.OPEN, _E.FLUSHED): _OPEN_FLUSHED,
        (_S.OPEN, _E.CANCEL): _S.CANCELLED,
        (_S.OPEN, _E.ABORT): _S.ABORTED,
        (_S.STREAMING, _E.WRITE_HEADER): _ALREADY,
        (_S.STREAMING, _E.WRITE): _S.STREAMING,
        (_S.STREAMING, _E.END): _S.ENDED,
        (_S.STREAMING, _E.FLUSHED): _STREAMING_FLUSHED,
        (_S.STREAMING, _E.CANCEL): _S.CANCELLED,
        (_S.STREAMING, _E.ABORT): _S.ABORTED,
        (_S.ENDED, _E.WRITE_HEADER): _S.ENDED,
        (_S.ENDED, _E.WRITE): _S.ENDED,
        (_S.ENDED, _E.END): _S.ENDED,
        (_S.ENDED, _E.FLUSHED): _S.CLOSED,
        (_S.ENDED, _E.CANCEL): _S.CANCELLED,
        (_S.ENDED, _E.ABORT): _S.ABORTED,
        **_final(_S.CLOSED),
        **_final(_S.CANCELLED),
        **_final(_S.ABORTED),
    }
)
"""(state, event) to the next state, or to the text of the error that the event is."""

TAKES_WRITES: Final = frozenset({_S.OPEN, _S.STREAMING})
"""The states in which a write can be accepted; in the others it ends at once, cancelled."""

LIVE: Final = frozenset({_S.OPEN, _S.STREAMING, _S.ENDED})
"""The states in which accepted bytes still go out."""

GIVEN_UP: Final = frozenset({_S.CANCELLED, _S.ABORTED})
"""The states in which the exchange counts as cancelled."""


def next_state(state: ResponseState, event: ResponseEvent, *, head_given: bool) -> ResponseState:
    """Looks the transition up.

    A second header block of the handler's (`head_given`) is a mistake in every state, also after the end.

    Raises:
        ResponseStateError: the state forbids the event.
    """
    if head_given and event is ResponseEvent.WRITE_HEADER:
        raise ResponseStateError(_ALREADY)
    target = TABLE[state, event]
    if isinstance(target, str):
        raise ResponseStateError(target)
    return target
