"""What feeds tell of what became of their payloads."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStats:
    """What became of the payloads published for one follower. A snapshot.

    Attributes:
        delivered: how many went out: the TCP/IP stack has taken a part of each at least.
        skipped: how many never will, as newer ones took their place or too many bytes waited.
        expired: how many never will, as they had become older than `max_age`.
        pending: how many wait.
        merged: how many went into newer ones, by the feed's `merge`.
        max_rate: how many of each key may be sent in a second now; `None`: any number.
        max_bandwidth: how many bytes may be sent in a second now; `None`: any number.
        lag_step: which step of its `lag_policy` it has come to, counted from 1; 0: it isn't that late.
        dropped: the reasons of the steps that have dropped keys.
    """

    delivered: int
    skipped: int
    expired: int
    pending: int
    merged: int = 0
    max_rate: float | None = None
    max_bandwidth: float | None = None
    lag_step: int = 0
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStats:
    """What became of all that a feed published. A snapshot.

    Attributes:
        published: how many payloads were.
        followers: how many follow it now.
        delivered: how many went out, to all followers together, those that are gone included.
        skipped: how many of these never will, as newer ones took their place or too many bytes waited.
        expired: how many of these never will, as they had become older than `max_age`.
        merged: how many went into newer ones, by the feed's `merge`.
    """

    published: int
    followers: int
    delivered: int
    skipped: int
    expired: int
    merged: int = 0


def feeds_together(stats: Iterable[FeedStats]) -> FeedStats:
    """Return what became of all that several feeds published."""
    every = list(stats)
    return FeedStats(
        published=sum(one.published for one in every),
        followers=sum(one.followers for one in every),
        delivered=sum(one.delivered for one in every),
        skipped=sum(one.skipped for one in every),
        expired=sum(one.expired for one in every),
        merged=sum(one.merged for one in every),
    )
