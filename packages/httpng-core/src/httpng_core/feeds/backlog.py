"""What one follower of a feed has not got yet: by policy the latest of each key, or every payload.

A backlog gives its first payload as often as it is asked; only `drop` takes one off.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

from httpng_core.feeds.owed import Owed
from httpng_core.http.chunks import chunk

_SLACK: Final = 64
"""So many more payloads that were replaced than others may stay in line."""


class Payload:
    """What was published: bytes that all followers share.

    Attributes:
        body: the bytes.
        key: what they are the value of.
        at: when they were published.
        number: the number of the publication, counted from 1.
        removes: whether the key has no value any more, which these tell; no bytes: nothing is to tell it.
        published: what was published last of all that it was merged of; `None`: it was published so itself.
        place: how many were published of the key before it, since that has a value; counted where it matters.
    """

    __slots__ = ("_chunk", "at", "body", "key", "number", "place", "published", "removes")

    def __init__(
        self, body: bytes, key: Hashable, at: float, number: int = 0, *, removes: bool = False
    ) -> None:
        self.body = body
        self.key = key
        self.at = at
        self.number = number
        self.removes = removes
        self.published: Payload | None = None
        self.place = 0
        self._chunk = b""

    @property
    def chunk(self) -> bytes:
        """The body framed as a chunk of HTTP/1.1, once for all followers."""
        if not self._chunk:
            self._chunk = chunk(self.body)
        return self._chunk


class Mark:
    """The key of a payload that is no value, and to which nothing is a delta: it `removes`."""


class LatestBacklog:
    """The newest payload of each key, in the order in which the keys became pending.

    Attributes:
        overflows: whether the follower is too far behind to be served at all: never.
        replaces: whether a payload takes the place of an older one of its key.
    """

    __slots__ = ("_expired", "_newest", "_owed")
    overflows: Final = False
    replaces: Final = True

    def __init__(self, *, resumes: bool = False) -> None:
        """If it `resumes`, `owed_without` may be asked."""
        # Not a dict: finding its first is a walk past all that were taken off before.
        self._newest: OrderedDict[Hashable, Payload] = OrderedDict()
        self._owed = Owed() if resumes else None
        # The numbers of those that are owed still, though they are not sent any more; seldom are any.
        self._expired: dict[Hashable, int] | None = None

    @property
    def resumes(self) -> bool:
        """Whether `owed_without` may be asked."""
        return self._owed is not None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._newest)

    def add(self, payload: Payload) -> None:
        """Take one that was published. A key that is pending keeps its place."""
        if self._owed is not None:
            before = self._newest.get(payload.key)
            if before is not None:
                self._owed.discard(before.number)
            if self._expired:
                self._owed.discard(self._expired.pop(payload.key, 0))
            self._owed.add(payload.number)
        self._newest[payload.key] = payload

    def first(self) -> Payload | None:
        """Return the next to be sent."""
        for payload in self._newest.values():
            return payload
        return None

    def get(self, key: Hashable) -> Payload | None:
        """Return what a newer payload of a key would take the place of."""
        return self._newest.get(key)

    def drop(self, payload: Payload) -> None:
        """Note that the first, as `first` gave it, was sent or is too old.

        If it was replaced, the newer one has become pending behind those that wait.
        """
        newest = self._newest.pop(payload.key, payload)
        if newest is not payload:
            self._newest[payload.key] = newest
        elif self._owed is not None:
            self._owed.discard(payload.number)

    def expire(self, payload: Payload) -> None:
        """Note that the first is too old to be sent, but is owed until there is a newer one of its key."""
        self.drop(payload)
        self._owe(payload.key, payload.number)

    def take_over(self, backlog: "LatestBacklog") -> None:
        """Take what is pending in another one, and is owed there."""
        for payload in backlog.payloads():
            self.add(payload)
        for key, number in (backlog._expired or {}).items():
            self._owe(key, number)

    def discard(self, key: Hashable) -> int:
        """Forget what is pending of a key; return how many that were."""
        payload = self._newest.pop(key, None)
        if self._owed is not None:
            if payload is not None:
                self._owed.discard(payload.number)
            if self._expired:
                self._owed.discard(self._expired.pop(key, 0))
        return 0 if payload is None else 1

    def would_lose(self, payload: Payload, ahead: int = 0) -> bool:
        """Return whether adding it would cost another one its place; `ahead` bytes wait before all these."""
        return payload.key in self._newest

    def payloads(self) -> list[Payload]:
        """Return all of them, in order."""
        return list(self._newest.values())

    def owed_without(self, payload: Payload | None) -> int | None:
        """Return the lowest number of all but the first, which is `payload`; `None`: there are no others."""
        assert self._owed is not None
        return self._owed.lowest(0 if payload is None else payload.number)

    def clear(self) -> None:
        """Forget all of them."""
        self._newest.clear()
        self._expired = None
        if self._owed is not None:
            self._owed.clear()

    def _owe(self, key: Hashable, number: int) -> None:
        if self._owed is None:
            return
        if self._expired is None:
            self._expired = {}
        self._expired[key] = number
        self._owed.add(number)


class EveryBacklog:
    """Every payload, with at most `max_queued` bytes; beyond that the oldest go, or it overflows.

    While it conflates, the newest of each key alone: those before it stay in their places, replaced, until
    they come to the front.
    """

    __slots__ = (
        "_drops_oldest",
        "_max_queued",
        "_newest",
        "_payloads",
        "_queued",
        "_replaced",
        "overflows",
    )
    replaces: Final = False

    def __init__(self, max_queued: int, *, drops_oldest: bool) -> None:
        self.overflows = False
        self._payloads: deque[Payload] = deque()
        self._queued = 0
        self._max_queued = max_queued
        self._drops_oldest = drops_oldest
        # The newest of each key, while it conflates; and those that are in the line still, but don't count.
        self._newest: dict[Hashable, Payload] | None = None
        self._replaced: set[Payload] = set()

    def __len__(self) -> int:
        """See `LatestBacklog`."""
        return len(self._payloads) - len(self._replaced)

    def conflate(self, *, conflates: bool) -> None:
        """Keep the newest of each key alone from now on, or all again."""
        self._newest = None
        if conflates:
            self._newest = {}
            for payload in self.payloads():
                self._replace(payload)
            self._skip_replaced()

    def add(self, payload: Payload) -> None:
        """See `LatestBacklog`. The one that was published last is kept, whatever its length."""
        self._payloads.append(payload)
        self._queued += len(payload.body)
        if self._newest is not None:
            self._replace(payload)
            self._skip_replaced()
            if len(self._replaced) > len(self) + _SLACK:
                self._payloads, self._replaced = deque(self.payloads()), set()
        while self._queued > self._max_queued and len(self) > 1:
            if not self._drops_oldest:
                self.overflows = True
                return
            self._drop_first()

    def first(self) -> Payload | None:
        """See `LatestBacklog`."""
        return self._payloads[0] if self._payloads else None

    def drop(self, payload: Payload) -> None:
        """See `LatestBacklog`."""
        if self._payloads and self._payloads[0] is payload:
            self._drop_first()

    def discard(self, key: Hashable) -> int:
        """See `LatestBacklog`."""
        before = self.payloads()
        kept = [payload for payload in before if payload.key != key]
        self._payloads, self._replaced = deque(kept), set()
        if self._newest is not None:
            self._newest.pop(key, None)
        self._queued = sum(len(payload.body) for payload in kept)
        return len(before) - len(kept)

    def would_lose(self, payload: Payload, ahead: int = 0) -> bool:
        """See `LatestBacklog`; to overflow counts as well."""
        queued = self._queued + ahead
        return queued > 0 and queued + len(payload.body) > self._max_queued

    def payloads(self) -> list[Payload]:
        """See `LatestBacklog`."""
        if not self._replaced:
            return list(self._payloads)
        return [payload for payload in self._payloads if payload not in self._replaced]

    def owed_without(self, payload: Payload | None) -> int | None:
        """See `LatestBacklog`. Their numbers ascend; what has none comes before them."""
        for other in self._payloads:
            if other is not payload and other.number and other not in self._replaced:
                return other.number
        return None

    def clear(self) -> None:
        """See `LatestBacklog`."""
        self._payloads.clear()
        self._replaced.clear()
        self._queued = 0
        if self._newest is not None:
            self._newest.clear()

    def _replace(self, payload: Payload) -> None:
        """Have a payload take the place of the one of its key that is the newest so far."""
        newest = self._newest
        if newest is None or isinstance(payload.key, Mark):
            return
        older = newest.get(payload.key)
        newest[payload.key] = payload
        if older is not None:
            self._replaced.add(older)
            self._queued -= len(older.body)

    def _drop_first(self) -> None:
        payload = self._payloads.popleft()
        self._queued -= len(payload.body)
        if self._newest is not None and self._newest.get(payload.key) is payload:
            del self._newest[payload.key]
        self._skip_replaced()

    def _skip_replaced(self) -> None:
        """Have the one in front be one that counts."""
        while self._payloads and self._payloads[0] in self._replaced:
            self._replaced.discard(self._payloads.popleft())
