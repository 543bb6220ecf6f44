"""What a server tells of itself: for operators, and for tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from httpng_core import ListenAddress, ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatistics:
    """One listening socket. A snapshot.

    Attributes:
        address: where it listens, with its real port.
        paused: whether it doesn't accept for now: there is no room for a connection, or no file left.
        shortages: how often it couldn't accept as the process or the system had no file or memory left.
    """

    address: ListenAddress
    paused: bool
    shortages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """A server. A snapshot.

    Attributes:
        state: what it is doing.
        connections: how many are open, in threads that are to go too.
        loops: how many connections each event loop has that takes some, one of each thread; the first loop's
            come first.
        leaving: how many threads that are to go are not gone yet.
        listeners: what it listens on; nothing while it is stopped or about to stop.
        exchanges: how many exchanges run.
        held: how many bytes are held for clients; `None`: there is no `memory_budget`, so nobody counts them.
        ends: how often requests and exchanges have ended otherwise than completely, by `EndKind` with detail.
        deadline: when what still runs is given up, by the monotonic clock; `None`: nothing is to end.
    """

    state: ServerState
    connections: int
    loops: tuple[int, ...]
    leaving: int
    listeners: tuple[ListenerStatistics, ...]
    exchanges: int
    held: int | None
    ends: Mapping[str, int]
    deadline: float | None
