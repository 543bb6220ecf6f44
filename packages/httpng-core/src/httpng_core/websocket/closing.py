"""The closing handshake (RFC 6455, 7): which event leads where, and what is to be done. `TABLE` is total.

    OPEN ── ask ──> ASKED ── the client's CLOSE ──> ENDING ── the exchange is over ──> OVER
      └── the client's CLOSE, or a failure ───────────^

From each, `lost` leads to OVER. Time that is up, and a FIN without a CLOSE, give the exchange up.
"""

from enum import IntEnum, auto
from types import MappingProxyType
from typing import Final


class State(IntEnum):
    """Where a WebSocket stands."""

    OPEN = auto()
    """Messages go both ways."""
    ASKED = auto()
    """Our CLOSE was accepted; the client's is awaited."""
    ENDING = auto()
    """All is said; it is being flushed."""
    OVER = auto()
    """The exchange is over."""


class Event(IntEnum):
    """What can happen to a WebSocket."""

    ASK = auto()
    """The handler closes, or is done; or the server drains."""
    CLOSED = auto()
    """The client's CLOSE has come."""
    FAILED = auto()
    """The client broke the protocol, or a limit."""
    EOF = auto()
    """The client's FIN has come."""
    LATE = auto()
    """The time for the handshake is up."""
    LOST = auto()
    """The exchange is over."""


class Action(IntEnum):
    """What is to be done."""

    NOTHING = auto()
    SAY = auto()
    """Send a CLOSE, and wait for the client's."""
    ANSWER = auto()
    """Send a CLOSE, and end."""
    END = auto()
    """End: both have said CLOSE."""
    CANCEL = auto()
    """The client is gone."""
    ABORT = auto()
    """Give the exchange up."""


_S, _E, _A = State, Event, Action

TABLE: Final = MappingProxyType(
    {
        (_S.OPEN, _E.ASK): (_S.ASKED, _A.SAY),
        (_S.OPEN, _E.CLOSED): (_S.ENDING, _A.ANSWER),
        (_S.OPEN, _E.FAILED): (_S.ENDING, _A.ANSWER),
        (_S.OPEN, _E.EOF): (_S.OPEN, _A.CANCEL),
        (_S.OPEN, _E.LATE): (_S.OPEN, _A.NOTHING),
        (_S.OPEN, _E.LOST): (_S.OVER, _A.NOTHING),
        (_S.ASKED, _E.ASK): (_S.ASKED, _A.NOTHING),
        (_S.ASKED, _E.CLOSED): (_S.ENDING, _A.END),
        # It was told why before, or will not listen to another reason.
        (_S.ASKED, _E.FAILED): (_S.ENDING, _A.END),
        (_S.ASKED, _E.EOF): (_S.ASKED, _A.CANCEL),
        (_S.ASKED, _E.LATE): (_S.ASKED, _A.ABORT),
        (_S.ASKED, _E.LOST): (_S.OVER, _A.NOTHING),
        (_S.ENDING, _E.ASK): (_S.ENDING, _A.NOTHING),
        (_S.ENDING, _E.CLOSED): (_S.ENDING, _A.NOTHING),
        (_S.ENDING, _E.FAILED): (_S.ENDING, _A.NOTHING),
        # What is complete is flushed, whatever the client half-closes.
        (_S.ENDING, _E.EOF): (_S.ENDING, _A.NOTHING),
        (_S.ENDING, _E.LATE): (_S.ENDING, _A.ABORT),
        (_S.ENDING, _E.LOST): (_S.OVER, _A.NOTHING),
        **{(_S.OVER, event): (_S.OVER, _A.NOTHING) for event in Event},
    }
)
"""(state, event) to the next state and what is to be done. A cancel or an abort is followed by `LOST`."""
