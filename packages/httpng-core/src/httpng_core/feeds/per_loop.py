"""The part of a feed that belongs to one event loop: the followers whose connections are served there.

A feed has one for each loop that follows it, as long as somebody does there. What is published waits in
the inbox of each, and is taken out in the thread of its loop, so much in a turn; so nothing else here is ever
touched by two threads at once.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.deltas import Deltas, Latest
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.group import Group
from httpng_core.feeds.groups import Groups
from httpng_core.feeds.inbox import ANY_KEY, EveryInbox, Handed, LatestInbox, Lost
from httpng_core.feeds.keys import Keys, Predicate
from httpng_core.feeds.merging import Asked, Merger
from httpng_core.feeds.past import Past, Removed, Ring
from httpng_core.feeds.resume import UNKNOWN, Ids, Progress
from httpng_core.sending.host import Host

_WORK_PER_TURN: Final = 2048
"""How much is taken out of an inbox in one turn: a payload counts 1, and each follower that is given it 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLoopStatistics:
    """What a feed keeps for the followers of one event loop. A snapshot.

    Attributes:
        followers: how many follow there.
        in_step: how many of these have had the same, and share what comes next.
        apart: how many of these are served each for itself.
        joining: how many of those apart are to be in step as soon as they are owed the same.
        values: how many payloads are kept for those that join.
        handed: how many payloads wait for the thread of the loop.
        drivers: how many broadcasts there are: for each group of followers one for each version of HTTP.
        scheduled: how many of these were asked to send.
        places: how many places they look at, those of followers that are gone included.
        pending: how many payloads they have to send, the ones that are being sent included.
        groups: how many groups of followers there are that want the same keys.
    """

    followers: int
    in_step: int
    apart: int
    joining: int
    values: int
    handed: int
    drivers: int
    scheduled: int
    places: int
    pending: int
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatistics:
    """What a feed keeps. A snapshot; what became of all that was published is `Feed.get_stats`.

    Attributes:
        values: how many payloads are kept for those that join.
        waiting: how many payloads wait for the threads of event loops, all together.
        loops: what it keeps for the followers of each event loop that follows it.
    """

    values: int
    waiting: int
    loops: tuple[FeedLoopStatistics, ...]


def keep(latest: Latest, payload: Payload) -> None:
    """Put a payload into the place of an older one of its key."""
    latest.pop(payload.key, None)
    latest[payload.key] = payload


class FeedLoop:
    """The followers of a feed in one event loop.

    Attributes:
        call_in_loop: see `Host`; each loop has its own.
    """

    def __init__(
        self,
        host: Host,
        lock: AbstractContextManager[object],
        clock: Callable[[], float],
        backlog: Callable[[], LatestBacklog | EveryBacklog],
        inbox: LatestInbox | EveryInbox,
        left: Callable[[Follower, "FeedLoop"], None],
        merge: Asked | None = None,
        delta: tuple[Asked, int] | None = None,
        past: Past | None = None,
    ) -> None:
        """`backlog` makes that of one follower; `left` is called with one that has left.

        `delta` is asked for deltas, but for each so many values of a key. With a `past` they may come back.
        """
        self.call_in_loop = host.call_in_loop
        self._call_soon = host.call_soon
        self._clock = clock
        self._lock = lock
        self._new_backlog = backlog
        self._keeps_latest = isinstance(inbox, LatestInbox)
        self._left = left
        self._merger = None if merge is None else Merger(merge)
        self._is_closed = False
        # Those that a follower begins with: no newer ones than have come here, for the rest is on its way.
        self._latest: Latest = {}
        self._deltas = None if delta is None else Deltas(*delta, self._latest)
        self._past = past
        self._ids = None if past is None else past.new_ids()
        self._removed = Removed()
        self._groups = Groups()
        # These are changed with the lock held.
        self._followers: dict[Follower, Group] = {}
        self._inbox = inbox
        self._is_called = False
        self._closes = False
        self._overrun: dict[Follower, Group] = {}

    def __len__(self) -> int:
        """Return how many follow here."""
        return len(self._followers)

    @property
    def followers(self) -> tuple[Follower, ...]:
        """Those who follow here. Any thread may ask."""
        return tuple(self._followers)

    # What is done in any thread: the feed holds its lock in all but `call` ----------------------------

    def waiting(self, key: Hashable) -> Payload | None:
        """Return what a newer payload of a key would take the place of, before it comes to the loop."""
        inbox = self._inbox
        assert isinstance(inbox, LatestInbox), "only a feed that keeps the latest merges"
        return inbox.get(key)

    def hand(self, payload: Payload, merged: Payload | None = None) -> bool:
        """Have followers be told of a payload; return whether `call` has to be called for that.

        `merged` is made of it and of what `waiting` returns.
        """
        if self._inbox.put(payload, merged):
            self._overrun.update(self._followers)
        return self._must_call()

    def hand_lost(self, key: Hashable, count: int) -> bool:
        """Have followers be told of payloads that won't come; return whether `call` has to be called."""
        self._inbox.lose(key, count)
        return self._must_call()

    def begin_at(self, number: int) -> None:
        """Note that nothing is known of what was published before this number."""
        self._removed.horizon = max(self._removed.horizon, number)

    def hand_close(self) -> bool:
        """Have followers end after all that was handed before; return whether `call` has to be called."""
        self._closes = True
        return self._must_call()

    def call(self) -> None:
        """Have what was handed taken, in the thread of the loop: at once if this is it."""
        self._in_loop(self._take)

    # What is done in the thread of the loop: the first two with the lock held -------------------------

    def join(self, follower: Follower, latest: Latest, published: int, *, is_closed: bool) -> Group:
        """Have `follower` get what comes from now on; if it is the first, take over where the feed stands."""
        if not self._followers:
            self._is_closed = is_closed
            self._latest.clear()
            self._latest.update(latest)
            if self._ids is not None and self._past is not None:
                self._ids.handed, self._removed = published, self._past.removed.copy()
        group = self._groups.get(follower.keys) or self._new_group(follower.keys)
        self._followers[follower] = group
        return group

    def remove(self, follower: Follower) -> None:
        """Note that `follower` has left."""
        group = self._followers.pop(follower)
        group.remove(follower)
        if not group.followers and self._groups.get(group.keys) is group:
            self._groups.remove(group)
            if isinstance(group.keys, Keys) and group.watcher is not None:
                group.keys.unwatch(group.watcher)
        if not self._followers:
            self._latest.clear()

    def begin(self, follower: Follower, group: Group) -> list[Payload]:
        """Return what one that has joined starts with; raises what a function of the user's does."""
        if self._ids is not None and follower.progress is not None:
            opening = self._opening(follower.progress, group, self._ids)
        else:
            opening = None
        if not self._is_closed:
            group.join(follower)
        return self._values(group) if opening is None else opening

    def _values(self, group: Group) -> list[Payload]:
        """Return the latest values that a group wants."""
        latest = self._latest
        if group.keys is None:
            return list(latest.values())
        if callable(group.keys):
            return [payload for payload in tuple(latest.values()) if group.wants(payload.key)]
        found = [latest[key] for key in group.given if key in latest]
        return sorted(found, key=_number_of)

    def _opening(self, progress: Progress, group: Group, ids: Ids) -> list[Payload]:
        """Return what one that may have been here before starts with."""
        lost, missed = self._missed(progress.since, group, ids)
        if lost == UNKNOWN:
            # So is the id that its client keeps until it has been told.
            progress.since = UNKNOWN
        progress.gap = ids.gap(lost)
        opening = ids.opening(progress.gap, greets=progress.greets)
        return opening + (self._values(group) if missed is None else missed)

    def _missed(self, since: int | None, group: Group, ids: Ids) -> tuple[int, list[Payload] | None]:
        """Return what one has lost that had all up to `since`, and what it gets; `None`: it begins anew."""
        if since is None:
            return 0, None
        while since > ids.handed and len(self._inbox):
            self._take()  # In another loop it was ahead of this one.
        if since > ids.handed:
            since = UNKNOWN
        if self._past is not None and self._past.ring is not None:
            return self._replayed(since, group, self._past.ring, ids.handed)
        if since < self._removed.horizon:
            return UNKNOWN, None
        found = [payload for payload in self._values(group) if payload.number > since]
        found += [payload for payload in self._removed.since(since) if group.wants(payload.key)]
        return 0, sorted(found, key=_number_of)

    def _replayed(self, since: int, group: Group, ring: Ring, until: int) -> tuple[int, list[Payload]]:
        with self._lock:
            if since < ring.horizon:
                since = UNKNOWN
            # What is newer than that waits in the inbox still.
            lost, found = max(0, min(ring.dropped, until) - since), ring.since(since, until)
        if group.keys is None and since != UNKNOWN:
            return lost, found
        # Nobody knows how much of that was of these keys.
        wanted = [payload for payload in found if group.wants(payload.key)]
        return UNKNOWN if lost or since == UNKNOWN else 0, wanted

    def statistics(self) -> FeedLoopStatistics:
        """Return what is kept for this loop."""
        groups = self._groups.all
        broadcasts = [broadcast for group in groups for broadcast in group.broadcasts]
        return FeedLoopStatistics(
            followers=len(self._followers),
            in_step=sum(broadcast.members for broadcast in broadcasts),
            apart=sum(group.apart for group in groups),
            joining=sum(broadcast.joining for broadcast in broadcasts),
            values=len(self._latest),
            handed=len(self._inbox),
            drivers=len(broadcasts),
            scheduled=sum(broadcast.is_scheduled for broadcast in broadcasts),
            places=sum(broadcast.places for broadcast in broadcasts),
            pending=sum(broadcast.pending for broadcast in broadcasts),
            groups=len(groups),
        )

    # Inside -------------------------------------------------------------------------------------------

    def _in_loop(self, function: Callable[[], None]) -> None:
        if self.call_in_loop is None:
            function()
        else:
            self.call_in_loop(function)

    def _new_group(self, keys: "frozenset[Hashable] | Keys | Predicate | None") -> Group:
        watcher = None
        if isinstance(keys, Keys):
            # Before they are read, so that no change is missed.
            keys.watch(watcher := partial(self._keys_changed, keys))
        group = Group(keys, self._clock, self._new_backlog, self._leave, is_closed=self._is_closed)
        group.watcher, group.merger = watcher, self._merger
        group.deltas, group.ids = self._deltas, self._ids
        self._groups.add(group)
        return group

    def _leave(self, follower: Follower, group: Group) -> None:
        self._left(follower, self)

    def _keys_changed(self, keys: Keys, key: Hashable) -> None:
        """Note that a key was added or discarded, in whatever thread."""
        self._in_loop(partial(self._renew, keys, key))

    def _renew(self, keys: Keys, key: Hashable) -> None:
        group = self._groups.get(keys)
        if group is None:
            return  # All have left meanwhile.
        if key in keys and key not in group.given:
            self._groups.index(key, group)
            group.want(key, self._latest.get(key))
        elif key not in keys and key in group.given:
            self._groups.unindex(key, group)
            group.want_no_more(key)

    def _must_call(self) -> bool:
        must, self._is_called = not self._is_called, True
        return must

    def _take(self) -> None:
        """Take what was handed, as much as one turn may; the rest in the next."""
        work = 0
        try:
            while work < _WORK_PER_TURN or self._call_soon is None:
                with self._lock:
                    lost, handed = self._inbox.take_lost(), self._inbox.take()
                    overrun, self._overrun = self._overrun, {}
                if lost:
                    self._lose(lost, overrun)
                if handed is None:
                    break
                work += self._add(handed)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Come back if there is more, else close if that was handed, and wait to be called."""
        soon = self._call_soon
        with self._lock:
            more = len(self._inbox) > 0
            self._is_called = more and soon is not None
            closes, self._closes = self._closes and not more, self._closes and more
        if more and soon is not None:
            soon(self._take)
        if closes:
            self._is_closed = True
            for group in self._groups.all:
                group.close()

    def _add(self, handed: Handed) -> int:
        """Give a payload to those who want it; return how much work that was."""
        payload, count, merged, _ = handed
        if not self._followers:
            return 1  # It was on its way when all had left.
        if self._deltas is not None:
            self._deltas.before = self._latest.get(payload.key)
        if payload.removes:
            self._latest.pop(payload.key, None)
        elif self._keeps_latest:
            keep(self._latest, payload.published or payload)
        work = 1
        # Groups may go meanwhile, and their followers.
        for group in self._groups.wanting(payload.key):
            work += group.apart
            group.add(payload, count, merged)
        if self._merger is not None:
            self._merger.forget()
        if self._deltas is not None and payload.removes:
            self._deltas.forget(payload.key)
        if self._ids is not None:
            self._note_handed(payload, self._ids)
        if self._groups.failed:
            self._end_failed()
        return work

    def _note_handed(self, payload: Payload, ids: Ids) -> None:
        self._removed.keep(payload)
        with self._lock:
            ids.handed = max(ids.handed, self._inbox.taken_until())

    def _lose(self, lost: Lost, overrun: dict[Follower, Group]) -> None:
        """Count what didn't find room on its way, and reset those who followed if none of it may be lost."""
        for key, count in lost.items():
            for group in self._groups.all if key is ANY_KEY else self._groups.wanting(key):
                group.skip(count)
                for follower in tuple(group.followers):
                    if follower in overrun:
                        follower.overflow()
        if self._groups.failed:
            self._end_failed()

    def _end_failed(self) -> None:
        """End the follows whose functions raised, after all others have been given what is theirs."""
        failed, self._groups.failed = self._groups.failed, []
        for group, error in failed:
            for follower in tuple(group.followers):
                follower.fail(error)


def _number_of(payload: Payload) -> int:
    return payload.number
