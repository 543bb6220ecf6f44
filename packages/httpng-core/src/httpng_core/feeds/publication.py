"""What followers that want the same get of a feed, as far as a follower needs to know."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog
from httpng_core.feeds.broadcast import Broadcast
from httpng_core.feeds.deltas import Deltas
from httpng_core.feeds.merging import Merger
from httpng_core.feeds.resume import Ids
from httpng_core.sending.host import Host

F = TypeVar("F")
"""The follower."""


class Publication(Generic[F]):
    """What is published for some followers: those in step get it by a broadcast, the others each for itself.

    Attributes:
        clock: the clock by which payloads grow old.
        is_closed: whether the feed was closed.
        published: how many payloads were published of what is wanted.
        merged: how many of these had been merged before they came here.
        merger: what merges payloads, if the feed does.
        deltas: what makes deltas, if the feed sends them.
        ids: what puts ids before payloads; `None`: they have none.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        backlog: Callable[[], LatestBacklog | EveryBacklog],
        left: Callable[[F, Any], None],
        *,
        is_closed: bool,
    ) -> None:
        """`backlog` makes that of one follower; `left` is called with one that leaves, and with this."""
        self.clock = clock
        self.is_closed = is_closed
        self.published = self.merged = 0
        self.merger: Merger | None = None
        self.deltas: Deltas | None = None
        self.ids: Ids | None = None
        self._new_backlog = backlog
        self._left = left
        self._apart: dict[F, None] = {}
        # By what has them sent, and whether that is in chunks.
        self._broadcasts: dict[tuple[Callable[[Broadcast], None], bool], Broadcast] = {}

    @property
    def apart(self) -> int:
        """How many are served each for itself."""
        return len(self._apart)

    @property
    def broadcasts(self) -> tuple[Broadcast, ...]:
        """The broadcasts of those in step. Any thread may ask."""
        return tuple(self._broadcasts.values())

    def leave(self, follower: F) -> None:
        """Have `follower` get nothing more."""
        self._left(follower, self)

    def broadcast(self, host: Host, *, chunks: bool) -> Broadcast:
        """Return the broadcast to those that share the event loop of `host`, and get chunks, or don't."""
        ready = host.feed_ready
        assert ready is not None
        broadcast = self._broadcasts.get((ready, chunks))
        if broadcast is None:
            broadcast = Broadcast(
                self._new_backlog(), self.clock, ready, self.merger, self.deltas, self.ids, chunks=chunks
            )
            self._broadcasts[ready, chunks] = broadcast
        return broadcast

    def stepped_in(self, follower: F) -> None:
        """Have `follower` get nothing for itself until it has stepped out."""
        del self._apart[follower]

    def stepped_out(self, follower: F) -> None:
        """Have `follower` get what is published for itself."""
        self._apart[follower] = None
