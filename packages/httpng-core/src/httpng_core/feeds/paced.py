"""The newest payload of each key for a follower that has limits: which key may go, and which goes first.

1. A key may go again when the time that `max_rate` leaves between two of its payloads is over.
2. Of those that may, the one goes first that has waited longest, its time multiplied with its priority. So no
   key waits for ever: its time grows, and that of those that were sent begins anew.
"""

from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from math import inf

from httpng_core.feeds.backlog import LatestBacklog, Payload
from httpng_core.feeds.pace import Pace

Entry = tuple[float, int, Hashable]
"""A time, a number by which it is told apart from those that are over, and a key."""


class PacedBacklog(LatestBacklog):
    """See `LatestBacklog`."""

    __slots__ = ("_clock", "_held", "_last", "_pace", "_pending", "_ready", "_sent")

    def __init__(self, pace: Pace, clock: Callable[[], float], *, resumes: bool) -> None:
        super().__init__(resumes=resumes)
        self._pace = pace
        self._clock = clock
        self._last = 0
        # The number of each pending key's entry, and since when it is pending.
        self._pending: dict[Hashable, tuple[int, float]] = {}
        # Those that may go, by priority, the one that has waited longest on top; and those that may not yet.
        self._ready: dict[int, list[Entry]] = {}
        self._held: list[Entry] = []
        # When those were sent, or were to be, that can't go again yet.
        self._sent: dict[Hashable, float] = {}

    def add(self, payload: Payload) -> None:
        """See `Backlog`."""
        if payload.key not in self._pending:
            self._place(payload.key, self._clock())
        super().add(payload)

    def first(self) -> Payload | None:
        """See `Backlog`. None is, if none may go now."""
        now = self._clock()
        self._release(now)
        first: Payload | None = None
        most = (-1.0, 0)
        for priority, entries in self._ready.items():
            while entries and not self._is_pending(entries[0]):
                heappop(entries)
            if entries:
                weight = (now - entries[0][0]) * priority, priority
                if weight > most:
                    first, most = self._newest[entries[0][2]], weight
        return first

    def waits_since(self) -> float:
        """Return since when the one that may go and has waited longest could have; infinity: none may."""
        self._release(self._clock())
        since = inf
        for entries in self._ready.values():
            while entries and not self._is_pending(entries[0]):
                heappop(entries)
            if entries:
                since = min(since, max(entries[0][0], self._due(entries[0][2])))
        return since

    def next_due(self) -> float:
        """Return when the next of those may go that may not yet, as `first` has found; infinity: none."""
        return self._held[0][0] if self._held else inf

    def sent(self, payload: Payload) -> None:
        """Note that a payload was sent, before it is dropped."""
        interval, now = self._pace.interval, self._clock()
        if not interval:
            return
        due = self._due(payload.key)
        _, since = self._pending.get(payload.key, (0, now))
        # Who had to wait for its time goes on from that, even if it has got its turn a little late.
        self._sent[payload.key] = due if since <= due and now - due < interval else now
        if len(self._sent) > 2 * len(self._pending) + 64:
            self._sent = {key: at for key, at in self._sent.items() if at + interval > now}

    def drop(self, payload: Payload) -> None:
        """See `Backlog`."""
        super().drop(payload)
        self._pending.pop(payload.key, None)
        if payload.key in self._newest:
            self._place(payload.key, self._clock())

    def discard(self, key: Hashable) -> int:
        """See `Backlog`."""
        self._pending.pop(key, None)
        return super().discard(key)

    def clear(self) -> None:
        """See `Backlog`."""
        super().clear()
        self._pending.clear()
        self._ready.clear()
        self._held.clear()

    def pace_changed(self, pace: Pace) -> None:
        """Go by what a pace says now."""
        pending, self._pace = self._pending, pace
        self._pending, self._ready, self._held = {}, {}, []
        for key, (_, since) in pending.items():
            self._place(key, since)

    # Inside -------------------------------------------------------------------------------------------

    def _place(self, key: Hashable, since: float) -> None:
        self._last += 1
        self._pending[key] = self._last, since
        due = self._due(key)
        if due > self._clock():
            heappush(self._held, (due, self._last, key))
        else:
            self._add_ready(since, self._last, key)

    def _add_ready(self, since: float, number: int, key: Hashable) -> None:
        heappush(self._ready.setdefault(self._pace.priority_of(key), []), (since, number, key))

    def _release(self, now: float) -> None:
        while self._held and (self._held[0][0] <= now or not self._is_pending(self._held[0])):
            entry = heappop(self._held)
            if self._is_pending(entry):
                self._add_ready(self._pending[entry[2]][1], entry[1], entry[2])

    def _is_pending(self, entry: Entry) -> bool:
        place = self._pending.get(entry[2])
        return place is not None and place[0] == entry[1]

    def _due(self, key: Hashable) -> float:
        at = self._sent.get(key)
        return -inf if at is None else at + self._pace.interval
