"""The phases of a connection of HTTP/1.1."""

from enum import Enum, auto
from typing import Final


class Phase(Enum):
    """What the protocol is doing; each phase has its deadline."""

    IDLE = auto()
    """Waiting for the next request on a kept-alive connection."""
    READING = auto()
    """A request is expected or coming in."""
    HANDLING = auto()
    """The handler has the exchange."""
    FLUSHING = auto()
    """The rest of a response goes out."""
    DISCARDING = auto()
    """The response is over, the rest of the request's body is dropped."""
    AWAITING = auto()
    """A response that was cut short is sent; a reset follows when the client's TCP has it."""
    OVER = auto()
    """Nothing more is read or sent."""


# In hot code a global is found sooner than a member of an enumeration.
IDLE: Final = Phase.IDLE
READING: Final = Phase.READING
HANDLING: Final = Phase.HANDLING
FLUSHING: Final = Phase.FLUSHING
OVER: Final = Phase.OVER
