"""Several feeds followed by one response, and what `io.follow` makes of its arguments."""

from collections.abc import Callable, Iterable
from typing import Any

from httpng_core.feeds.feed import Feed
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keys import KeyFilter, Predicate
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.resume import Progress
from httpng_core.feeds.stats import FollowStats
from httpng_core.sending import calls
from httpng_core.sending.host import DirectSend, Host


class ManyFollower:
    """The followers of several feeds in one response; the `Source` of its `Follow`.

    Each feed in turn has its payload sent, if it has one. It is served for itself, in step with nobody.

    Attributes:
        lag_step: which step of what is done about one that lags it has come to, counted from 1; 0: none.
        dropped: for what reasons it is sent some keys no more.
    """

    __slots__ = ("_followers", "_next", "_offering", "dropped", "lag_step")

    def __init__(self, followers: list[Follower]) -> None:
        self._followers = followers
        self._next = 0
        self._offering = followers[0]
        self.lag_step = 0
        self.dropped: tuple[str, ...] = ()

    @property
    def framed(self) -> Callable[[bytes], bytes] | None:
        """What makes wire bytes of a payload, and of a notice, where each is framed for itself."""
        return self._offering.framed

    @framed.setter
    def framed(self, framed: Callable[[bytes], bytes] | None) -> None:
        for follower in self._followers:
            follower.framed = framed

    @property
    def stats(self) -> FollowStats:
        """Where they stand together. Any thread may ask."""
        each = [follower.stats for follower in self._followers]
        return FollowStats(
            delivered=sum(stats.delivered for stats in each),
            skipped=sum(stats.skipped for stats in each),
            expired=sum(stats.expired for stats in each),
            pending=sum(stats.pending for stats in each),
            merged=sum(stats.merged for stats in each),
            max_rate=each[0].max_rate,
            max_bandwidth=each[0].max_bandwidth,
            lag_step=self.lag_step,
            dropped=self.dropped,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return all(follower.ended for follower in self._followers)

    @property
    def size(self) -> int:
        """The length of the payload that would go next; 0: none is pending that could go now."""
        for follower in self._in_turn():
            if size := follower.size:
                return size
        return 0

    @property
    def waits_since(self) -> float:
        """Since when the payload waits that has waited longest of those that may go; infinity: none does."""
        return min(follower.waits_since for follower in self._followers)

    def begin(self, owner: "calls.FollowOwner", host: Host) -> None:
        """Join the feeds, all or none."""
        begun: list[Follower] = []
        try:
            for follower in self._followers:
                if follower.progress is not None:
                    follower.progress.id_of = self._id_of
                    # One that tells of ids will do.
                    follower.progress.greets = all(other.progress is None for other in begun)
                follower.begin(owner, host)
                begun.append(follower)
        except BaseException:
            for follower in begun:
                follower.end()
            raise

    def end(self) -> None:
        """Leave the feeds; what is pending is skipped."""
        for follower in self._followers:
            follower.end()
            if follower.progress is not None:
                follower.progress.id_of = None

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""
        for follower in self._followers:
            follower.finish()

    def offer(self) -> bytes:
        """Return what to send next, of the feed whose turn it is; raises whatever `on_gap` does."""
        for follower in self._in_turn():
            if follower.size and (payload := follower.offer()):
                self._offering = follower
                return payload
        return b""

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last: the others come first now."""
        self._next = self._followers.index(self._offering) + 1
        self._offering.taken()
        # They share what may be sent.
        for follower in self._followers:
            if follower is not self._offering:
                follower.look_again()

    def set_pace(self, max_rate: object, max_bandwidth: object, priority: object) -> None:
        """See `Follower.set_pace`."""
        pace = self._followers[0].pace_with(max_rate, max_bandwidth, priority)
        self.check_pace(pace)
        shared = self._followers[0].go_by(pace)
        for follower in self._followers[1:]:
            follower.go_by(pace, shared)

    def check_pace(self, pace: Pace) -> None:
        """See `Follower.check_pace`."""
        for follower in self._followers:
            follower.check_pace(pace)

    def lower(self, max_rate: float | None) -> None:
        """See `Follower.lower`."""
        for follower in self._followers:
            follower.lower(max_rate)

    def conflate(self, *, conflates: bool) -> None:
        """See `Follower.conflate`."""
        for follower in self._followers:
            follower.conflate(conflates=conflates)

    @property
    def has_dropped(self) -> bool:
        """Whether there are keys that it is sent no more."""
        return bool(self.dropped)

    def drop_keys(self, dropped: Predicate, reason: str) -> None:
        """See `Follower.drop_keys`."""
        self.dropped = (*self.dropped, reason)
        for follower in self._followers:
            follower.drop_keys(dropped, reason)

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Do nothing: nobody else is owed the same."""

    def step_out(self) -> None:
        """Do nothing."""

    def take_counts(self) -> "calls.BroadcastSent":
        """Return that no broadcast has sent anything."""
        return 0, 0, 0.0

    def _id_of(self, offering: Progress, mark: int) -> str:
        """Return the ids of all feeds that give some, as one: what the client has had of each."""
        each = [follower.progress for follower in self._followers if follower.progress is not None]
        return ",".join(
            place.ids.id_of(mark if place is offering else place.mark)
            for place in each
            if place.ids is not None
        )

    def _in_turn(self) -> list[Follower]:
        return self._followers[self._next :] + self._followers[: self._next]


Followed = Follower | ManyFollower
"""What follows a feed, or several."""


def follower_of(
    feeds: Any,
    *,
    max_age: float | None = None,
    on_gap: OnGap | None = None,
    keys: KeyFilter | None = None,
    since: str | None = None,
    pace: Pace | None = None,
    call: str = "io.follow",
) -> Followed:
    """Return what follows a feed, or each of several, as `io.follow` gets them, or another `call`.

    Raises:
        TypeError, ValueError: wrong arguments.
    """
    if isinstance(feeds, Feed):
        return feeds.follower(max_age=max_age, on_gap=on_gap, keys=keys, since=since, pace=pace)
    if isinstance(feeds, (str, bytes)) or not isinstance(feeds, Iterable):
        raise TypeError(f"{call} needs a Feed, or a list of them, not {feeds!r:.80}")
    listed = list(feeds)
    if not listed:
        raise ValueError(f"{call} needs at least one Feed, not an empty list")
    for feed in listed:
        if not isinstance(feed, Feed):
            raise TypeError(f"{call} needs a list of Feeds, not {feed!r:.80} in it")
    if len(set(map(id, listed))) < len(listed):
        raise ValueError(f"{call} needs each Feed once; it is followed as a whole, or by keys")
    if since is not None and all(feed.incarnation is None for feed in listed):
        raise ValueError("since is for feeds whose payloads have ids: Feed(resume=True)")
    followers = [
        feed.follower(
            max_age=max_age,
            on_gap=on_gap,
            keys=keys,
            since=None if feed.incarnation is None else since,
            pace=pace,
        )
        for feed in listed
    ]
    return followers[0] if len(followers) == 1 else ManyFollower(followers)
