"""What a follower needs of its feed."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from httpng_core.feeds.backlog import Payload
from httpng_core.feeds.broadcast import Sweep
from httpng_core.feeds.deltas import Deltas
from httpng_core.feeds.merging import Merger
from httpng_core.feeds.resume import Ids
from httpng_core.sending.host import Host

F_contra = TypeVar("F_contra", contravariant=True)
"""The follower."""


class Publication(Protocol[F_contra]):
    """What a follower needs of its group, from when it follows.

    Attributes:
        clock: the clock by which payloads grow old.
        is_closed: whether the feed was closed.
        published: how many payloads were published of what is wanted.
        merged: how many of these had been merged before they came here.
        merger: what merges payloads, if the feed does.
        deltas: what makes deltas, if the feed sends them.
        ids: what puts ids before payloads; `None`: they have none.
    """

    clock: Callable[[], float]
    is_closed: bool
    published: int
    merged: int
    merger: Merger | None
    deltas: Deltas | None
    ids: Ids | None

    def leave(self, follower: F_contra) -> None:
        """Have `follower` get nothing more."""

    def sweep(self, host: Host, *, chunks: bool) -> Sweep:
        """Return the sweep of those that share the event loop of `host`, and are sent chunks, or aren't."""

    def stepped_in(self, follower: F_contra) -> None:
        """Have `follower` get nothing for itself until it has stepped out."""

    def stepped_out(self, follower: F_contra) -> None:
        """Have `follower` get what is published for itself."""


class Publisher(Protocol[F_contra]):
    """What a follower needs of a feed before it follows."""

    def join(self, follower: F_contra, host: Host) -> tuple[Publication[F_contra], list[Payload]]:
        """Have `follower` get what is published from now on: where from, and what it starts with."""

    def delivered_late(self) -> None:
        """Note that a follower that left with a payload offered has delivered it after all."""
