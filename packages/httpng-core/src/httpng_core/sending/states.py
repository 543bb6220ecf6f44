"""The response state table: which call of a handler, or what event, leads where.

This file may not know about bytes, windows, time or protocols. It says what is allowed, and nothing
else does. `TABLE` is total: every state has an entry for every event.

    OPEN ── write_header, write ──> STREAMING ── end ──> ENDED ──── flushed ──> CLOSED
      │                                 │ └────────────── flushed ───────────────^
      └── end ─────────────────────────────────────────> ENDED
      └── cut ──────────────────────────┴── cut ───────> CUTTING ── flushed ──> CUT

From each of OPEN, STREAMING, ENDED and CUTTING, `cancel` leads to CANCELLED (the client is gone) and `reset`
to RESET (we gave it up). CLOSED, CUT, CANCELLED and RESET are final.
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
    CUTTING = auto()
    """What was accepted is being flushed; then the response ends short."""
    CLOSED = auto()
    """The TCP/IP stack has all of it."""
    CUT = auto()
    """The TCP/IP stack has all that was accepted, and the client can tell that something is missing."""
    CANCELLED = auto()
    """The client is gone."""
    RESET = auto()
    """We gave the exchange up: what was in flight is lost."""


class ResponseEvent(IntEnum):
    """What can happen to a response."""

    WRITE_HEADER = auto()
    WRITE = auto()
    END = auto()
    CUT = auto()
    FLUSHED = auto()
    CANCEL = auto()
    RESET = auto()


_S, _E = ResponseState, ResponseEvent
_ALREADY = "Handler has already written header"
_OPEN_FLUSHED = "a response that has not begun can't be flushed"


def _flushing(
    state: ResponseState, then: ResponseState
) -> dict[tuple[ResponseState, ResponseEvent], ResponseState]:
    """Note that the handler is done: its calls, and further ends, change nothing."""
    stays = {(state, event): state for event in (_E.WRITE_HEADER, _E.WRITE, _E.END, _E.CUT)}
    return {
        **stays,
        (state, _E.FLUSHED): then,
        (state, _E.CANCEL): _S.CANCELLED,
        (state, _E.RESET): _S.RESET,
    }


def _final(state: ResponseState) -> dict[tuple[ResponseState, ResponseEvent], ResponseState]:
    # Calls after the end are no mistake: the handler can't know. They return at once, cancelled.
    return {(state, event): state for event in ResponseEvent}


TABLE: Final[MappingProxyType[tuple[ResponseState, ResponseEvent], ResponseState | str]] = MappingProxyType(
    {
        (_S.OPEN, _E.WRITE_HEADER): _S.STREAMING,
        (_S.OPEN, _E.WRITE): _S.STREAMING,
        (_S.OPEN, _E.END): _S.ENDED,
        (_S.OPEN, _E.CUT): _S.CUTTING,
        (_S.OPEN, _E.FLUSHED): _OPEN_FLUSHED,
        (_S.OPEN, _E.CANCEL): _S.CANCELLED,
        (_S.OPEN, _E.RESET): _S.RESET,
        (_S.STREAMING, _E.WRITE_HEADER): _ALREADY,
        (_S.STREAMING, _E.WRITE): _S.STREAMING,
        (_S.STREAMING, _E.END): _S.ENDED,
        (_S.STREAMING, _E.CUT): _S.CUTTING,
        # Complete on the wire is over, whether or not the handler still runs.
        (_S.STREAMING, _E.FLUSHED): _S.CLOSED,
        (_S.STREAMING, _E.CANCEL): _S.CANCELLED,
        (_S.STREAMING, _E.RESET): _S.RESET,
        **_flushing(_S.ENDED, _S.CLOSED),
        **_flushing(_S.CUTTING, _S.CUT),
        **_final(_S.CLOSED),
        **_final(_S.CUT),
        **_final(_S.CANCELLED),
        **_final(_S.RESET),
    }
)
"""(state, event) to the next state, or to the text of the error that the event is."""

# In hot code a comparison: members of an enumeration are slow to find in a set.
LAST_WRITABLE: Final = _S.STREAMING
"""The last of the states in which a write can be accepted."""

LAST_LIVE: Final = _S.CUTTING
"""The last of the states in which accepted bytes still go out."""

TAKES_WRITES: Final = frozenset({_S.OPEN, _S.STREAMING})
"""The states in which a write can be accepted; in the others it ends at once, cancelled."""

FLUSHING: Final = frozenset({_S.ENDED, _S.CUTTING})
"""The states in which the handler is done and accepted bytes still go out."""

LIVE: Final = TAKES_WRITES | FLUSHING
"""The states in which accepted bytes still go out."""

GIVEN_UP: Final = frozenset({_S.CUTTING, _S.CUT, _S.CANCELLED, _S.RESET})
"""The states in which the exchange counts as cancelled."""


def next_state(state: ResponseState, event: ResponseEvent, *, head_given: bool) -> ResponseState:
    """Return the state that `event` leads to.

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
