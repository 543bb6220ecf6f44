"""Feeds by the clock of the servers."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import RLock

from httpng_core import FULL_EVERY, MAX_QUEUED, Delta, Merge, OnRemove, Overflow, Policy, Resume
from httpng_core import Feed as CoreFeed
from httpng_driver.handlers.feed_totals import FEED_TOTALS


class Feed(CoreFeed):
    """Latest values, or messages, for any number of followers: `httpng_core.Feed` with a clock.

    Handlers may follow it in any event loop; every thread may publish.
    """

    def __init__(
        self,
        *,
        policy: Policy = "latest",
        max_queued: int = MAX_QUEUED,
        overflow: Overflow = "close",
        on_remove: OnRemove | None = None,
        snapshot_end: bytes | str | None = None,
        merge: Merge | None = None,
        delta: Delta | None = None,
        full_every: int = FULL_EVERY,
        resume: Resume | bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing published; see `httpng_core.Feed` for the arguments."""
        super().__init__(
            clock=clock,
            policy=policy,
            max_queued=max_queued,
            overflow=overflow,
            on_remove=on_remove,
            snapshot_end=snapshot_end,
            merge=merge,
            delta=delta,
            full_every=full_every,
            resume=resume,
            lock=RLock(),
        )
        FEED_TOTALS.begin(self)

    def __del__(self) -> None:
        """Leave what became of its payloads to the totals."""
        with suppress(AttributeError):
            # One that its constructor refused has told nothing.
            FEED_TOTALS.end(self)
