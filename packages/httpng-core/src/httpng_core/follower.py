"""One follower of a feed: what is pending for it, and what became of the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from httpng_core.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.pending import FollowOwner
from httpng_core.response import body_bytes

OnGap = Callable[[int], bytes | str | None]
"""Gets how many updates were lost; may return bytes that tell the client."""
CallThreadsafe = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStats:
    """What became of the payloads published for one follower. A snapshot.

    Attributes:
        delivered: how many went out: the TCP/IP stack has taken a part of each at least.
        skipped: how many never will, as newer ones took their place or too many bytes waited.
        expired: how many never will, as they had become older than `max_age`.
        pending: how many wait.
    """

    delivered: int
    skipped: int
    expired: int
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStats:
    """What became of all that a feed published. A snapshot.

    Attributes:
        published: how many payloads were.
        followers: how many follow it now.
        delivered: how many went out, to all followers together, those that are gone included.
        skipped: how many of these never will, as newer ones took their place or too many bytes waited.
        expired: how many of these never will, as they had become older than `max_age`.
    """

    published: int
    followers: int
    delivered: int
    skipped: int
    expired: int


class Publisher(Protocol):
    """What a follower needs of its feed."""

    clock: Callable[[], float]
    is_closed: bool
    published: int

    def join(self, follower: "Follower", call_threadsafe: CallThreadsafe | None) -> list[Payload]:
        """`follower` gets what is published from now on; tells what it starts with."""

    def leave(self, follower: "Follower") -> None:
        """`follower` gets nothing more."""

    def delivered_late(self) -> None:
        """A follower that left with a payload offered has delivered it after all."""


class Follower:
    """One exchange on a feed; the `Source` of its `Follow`."""

    __slots__ = (
        "_backlog",
        "_delivered",
        "_expired",
        "_feed",
        "_joined_at",
        "_left_at",
        "_max_age",
        "_noted",
        "_offered",
        "_on_gap",
        "_owner",
        "_told",
        "_wake",
    )

    def __init__(
        self,
        feed: Publisher,
        backlog: LatestBacklog | EveryBacklog,
        max_age: float | None,
        on_gap: OnGap | None,
    ) -> None:
        self._feed = feed
        self._backlog = backlog
        self._max_age = _checked_age(max_age)
        self._on_gap = on_gap
        self._owner: FollowOwner | None = None
        self._wake: Callable[[], None] = lambda: None
        self._joined_at = self._left_at = 0
        self._offered: Payload | None = None
        self._delivered = self._expired = 0
        self._noted = self._told = 0

    @property
    def stats(self) -> FollowStats:
        """Where the follower stands."""
        return FollowStats(
            delivered=self._delivered,
            skipped=self._lost() - self._expired,
            expired=self._expired,
            pending=len(self._backlog),
        )

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return self._feed.is_closed and not self._backlog

    @property
    def size(self) -> int:
        """The length of the payload that is pending first; 0: none is."""
        payload = self._backlog.first()
        return 0 if payload is None else len(payload.body)

    # What its exchange does ---------------------------------------------------------------------------

    def begin(
        self, owner: FollowOwner, wake: Callable[[], None], call_threadsafe: CallThreadsafe | None
    ) -> None:
        """Joins the feed; `wake` is called when something becomes pending."""
        self._owner, self._wake = owner, wake
        payloads = self._feed.join(self, call_threadsafe)
        self._joined_at = self._feed.published - len(payloads)
        for payload in payloads:
            self._backlog.add(payload)

    def end(self) -> None:
        """Leaves the feed; what is pending is skipped."""
        self._owner = None
        self._left_at = self._feed.published
        self._backlog.clear()
        self._feed.leave(self)

    def offer(self) -> bytes:
        """What to send next, chosen anew each time; nothing if all that was pending has expired.

        Raises whatever `on_gap` does.
        """
        self._drop_expired()
        payload = self._offered = self._backlog.first()
        if payload is None:
            return b""
        self._noted = self._lost()
        return self._gap_notice(self._noted - self._told) + payload.body

    def taken(self) -> bool:
        """The kernel took a part of what was offered last; tells whether more is pending."""
        payload, self._offered = self._offered, None
        assert payload is not None
        self._told = self._noted
        self._backlog.drop(payload)
        self._delivered += 1
        if self._owner is None:
            self._feed.delivered_late()
        return bool(self._backlog)

    def shared(self) -> Payload | None:
        """What `offer` would give, if that is one payload as it was published and more will follow."""
        payload = self._offered = None if self._feed.is_closed else self._backlog.first()
        if payload is None or (self._on_gap is None and self._max_age is None):
            return payload
        self._noted = self._lost()
        if self._is_old(payload) or (self._on_gap is not None and self._noted > self._told):
            return None
        return payload

    # What its feed does -------------------------------------------------------------------------------

    def add(self, payload: Payload) -> None:
        """One more was published."""
        backlog = self._backlog
        if not backlog:
            self._wake()
        backlog.add(payload)
        if backlog.overflows and self._owner is not None:
            self._owner.abort(self._feed.clock())

    def feed_closed(self) -> None:
        """Nothing more will be published."""
        assert self._owner is not None
        self._owner.feed_closed(self._feed.clock())

    # Inside -------------------------------------------------------------------------------------------

    def _lost(self) -> int:
        """How many were neither delivered nor are they pending."""
        published = self._feed.published if self._owner is not None else self._left_at
        return published - self._joined_at - self._delivered - len(self._backlog)

    def _is_old(self, payload: Payload) -> bool:
        return self._max_age is not None and self._feed.clock() - payload.at > self._max_age

    def _drop_expired(self) -> None:
        while (payload := self._backlog.first()) is not None and self._is_old(payload):
            self._backlog.drop(payload)
            self._expired += 1

    def _gap_notice(self, lost: int) -> bytes:
        notice = self._on_gap(lost) if self._on_gap is not None and lost > 0 else None
        return b"" if notice is None else body_bytes(notice)


def _checked_age(max_age: float | None) -> float | None:
    if max_age is None or max_age == inf:
        return None
    if isinstance(max_age, bool) or not isinstance(max_age, (int, float)):
        raise TypeError(f"max_age must be a number of seconds, not {type(max_age).__name__}")
    if not max_age > 0:
        raise ValueError(f"max_age must be more than 0 seconds, not {max_age}")
    return max_age
