"""What a feed keeps for those that come back: removed keys, or what was published last."""

import secrets
from collections import deque
from collections.abc import Hashable
from typing import Final

from httpng_core.feeds.backlog import Payload
from httpng_core.feeds.resume import Ids, Progress, Resume, number_in

MAX_REMOVED: Final = 65_536
"""So many removed keys are remembered."""


class Past:
    """What is kept for those that come back to a feed.

    Attributes:
        incarnation: what its ids begin with: a name that no other feed has, of this process or another;
            or the one that it was given.
        removed: the keys that were removed.
        ring: by the policy "every" what was published last, else `None`.
    """

    __slots__ = ("_resume", "incarnation", "removed", "ring")

    def __init__(self, resume: Resume, max_queued: int, *, keeps_every: bool) -> None:
        """See `Resume.replay_of` for what raises."""
        self.incarnation = resume.name or secrets.token_urlsafe(6)
        self.removed = Removed()
        self.ring = Ring(resume.replay_of(max_queued)) if keeps_every else None
        self._resume = resume

    def keep(self, payload: Payload) -> None:
        """Note what was published."""
        if self.ring is None:
            self.removed.keep(payload)
        else:
            self.ring.keep(payload)

    def begin_at(self, number: int) -> None:
        """Note that nothing is known of what was published before this number."""
        self.removed.horizon = max(self.removed.horizon, number)
        if self.ring is not None:
            self.ring.begin_at(number)

    def new_ids(self) -> Ids:
        """Return what makes the ids in one event loop."""
        return Ids(self._resume, self.incarnation)

    def knows(self, since: str) -> bool:
        """Return whether an id is one of the feed's."""
        return (number_in(since, self.incarnation) or 0) >= 0 if since else False


def progress_since(since: str | None, past: Past | None) -> Progress | None:
    """Return where a follower stands that comes with an id, or with none; `None`: its feed gives no ids.

    Raises:
        TypeError, ValueError: it comes with something else, or its feed gives no ids.
    """
    if past is not None:
        return Progress(number_in(since, past.incarnation))
    if since is not None:
        raise ValueError("since is for a feed whose payloads have ids: Feed(resume=True)")
    return None


class Removed:
    """Keys that were removed, with what tells it.

    Attributes:
        horizon: before this number some may have been that are forgotten.
    """

    __slots__ = ("_by_key", "horizon")

    def __init__(self) -> None:
        self.horizon = 0
        self._by_key: dict[Hashable, Payload] = {}

    def keep(self, payload: Payload) -> None:
        """Note what was published."""
        self._by_key.pop(payload.key, None)
        if payload.removes and payload.body:
            self._by_key[payload.key] = payload
            if len(self._by_key) > MAX_REMOVED:
                oldest = self._by_key.pop(next(iter(self._by_key)))
                self.horizon = max(self.horizon, oldest.number)

    def since(self, number: int) -> list[Payload]:
        """Return those that were removed after that."""
        return [payload for payload in self._by_key.values() if payload.number > number]

    def copy(self) -> "Removed":
        """Return another that goes its own way."""
        other = Removed()
        other.horizon, other._by_key = self.horizon, self._by_key.copy()
        return other


class Ring:
    """What was published last, so many bytes of it.

    Attributes:
        dropped: the number up to which it is gone.
        horizon: of what was published before this number nothing is known, not even how much it was.
    """

    __slots__ = ("_bytes", "_limit", "_payloads", "dropped", "horizon")

    def __init__(self, limit: int) -> None:
        self.dropped = self.horizon = 0
        self._limit = limit
        self._bytes = 0
        self._payloads: deque[Payload] = deque()

    def keep(self, payload: Payload) -> None:
        """Note what was published."""
        payloads = self._payloads
        if payload.number > 1 + (payloads[-1].number if payloads else self.dropped):
            # Some between have not come here.
            self._clear(payload.number - 1)
        payloads.append(payload)
        self._bytes += len(payload.body)
        while self._bytes > self._limit:
            gone = payloads.popleft()
            self._bytes -= len(gone.body)
            self.dropped = gone.number

    def begin_at(self, number: int) -> None:
        """Note that nothing is known of what was published before this number."""
        self._clear(number)
        self.horizon = number

    def since(self, number: int, until: int) -> list[Payload]:
        """Return those after `number`, up to `until`."""
        found = deque[Payload]()
        for payload in reversed(self._payloads):
            if payload.number <= number:
                break
            if payload.number <= until:
                found.appendleft(payload)
        return list(found)

    def _clear(self, number: int) -> None:
        self._payloads.clear()
        self._bytes = 0
        self.dropped = number
