"""What a feed tells of its broker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatistics:
    """How a feed gets on with its broker. A snapshot.

    Attributes:
        is_connected: whether it is connected, and has what the broker has.
        connections: how often it has been connected.
        number: the number of the newest publication that has come from the broker.
        received: how many publications have come from it one by one.
        missed: how many publications never came, as the connection was lost meanwhile or a publisher replaced
            them while it had none; where the broker began anew nobody knows how many those were.
        waiting: how many publications of this process are not with the broker yet.
        error: why it isn't connected; `None`: it is, or hasn't tried yet.
    """

    is_connected: bool
    connections: int
    number: int
    received: int
    missed: int
    waiting: int
    error: str | None
