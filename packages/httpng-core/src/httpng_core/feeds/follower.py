"""One follower of a feed: what is pending for it, and what became of the rest."""

from collections.abc import Callable, Hashable
from math import inf
from typing import TYPE_CHECKING, Final

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.broadcast import Broadcast
from httpng_core.feeds.deltas import Bases
from httpng_core.feeds.gaps import Gaps, OnGap
from httpng_core.feeds.keys import Keys, Predicate
from httpng_core.feeds.limited import Limited
from httpng_core.feeds.merging import Merger
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.publication import Publication
from httpng_core.feeds.resume import Progress
from httpng_core.sending import calls
from httpng_core.sending.ends import Cause, EndKind, over_limit
from httpng_core.sending.host import DirectSend, Host

if TYPE_CHECKING:
    from httpng_core.feeds.feed import Feed

_TOO_MANY: Final = over_limit("max_queued", "too many bytes of a feed waited (max_queued)")
_MUCH: Final = 64
"""Payloads that wait for a follower, of which it has to send some before it can be in step with others."""


class Follower(Limited):
    """One exchange on a feed; the `Source` of its `Follow`."""

    __slots__ = (
        "_bases",
        "_begun",
        "_begun_as",
        "_feed",
        "_finished",
        "_gaps",
        "_given_up",
        "_group",
        "_offered",
        "_waits_for",
        "framed",
        "keys",
        "max_age",
    )

    def __init__(
        self,
        feed: "Feed",
        backlog: LatestBacklog | EveryBacklog,
        max_age: float,
        on_gap: OnGap | None,
        keys: "frozenset[Hashable] | Keys | Predicate | None" = None,
        progress: Progress | None = None,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(backlog, pace, progress)
        self.keys = keys
        self._feed = feed
        self._group: Publication[Follower]
        self.max_age = max_age
        self._gaps = None if on_gap is None else Gaps(on_gap)
        self._offered: Payload | None = None
        # Of what a broadcast has sent a part: the payload, and what is sent of it.
        self._begun: Payload | None = None
        self._begun_as = b""
        # What the client was sent last of each key, if it is sent deltas.
        self._bases: Bases | None = None
        # What was under way when its key was given up; if it is taken, it was published for this one.
        self._given_up: Payload | None = None
        self._waits_for: Broadcast | None = None
        # Makes wire bytes of a payload, and of a notice, where each is framed for itself.
        self.framed: Callable[[bytes], bytes] | None = None
        # Whether it takes in nothing more, though its feed goes on.
        self._finished = False

    @property
    def notes_gaps(self) -> bool:
        """Whether its client may be told what was skipped."""
        return self._gaps is not None

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return (self._finished or self._group.is_closed) and not self._backlog

    @property
    def size(self) -> int:
        """The length of the payload that is pending first; 0: none is that could go now."""
        if self._gaps is not None and self._gaps.is_awaited:
            return 0
        payload = self._backlog.first() if self._throttle is None else self._throttle.first()
        return 0 if payload is None else len(payload.body)

    # What its exchange does ---------------------------------------------------------------------------

    def begin(self, owner: "calls.FollowOwner", host: Host) -> None:
        """Join the feed; the hooks of `host` are called when something becomes pending."""
        self._owner, self._wake = owner, host.payload_ready
        self._group, payloads = self._feed.join(self, host)
        self._clock = self._group.clock
        self._since = self._clock()
        self._join(self._group, len(payloads))
        deltas = self._group.deltas
        self._bases = None if deltas is None else Bases(deltas)
        for payload in payloads:
            self._backlog.add(payload)
            if self._bases is not None:
                self._bases.begin(payload.key)
        if self.progress is not None and self._group.ids is not None:
            self.progress.begin(self._group.ids, self._backlog)
        if self._pace is not None:
            self._keep_to(self._pace)

    def end(self) -> None:
        """Leave the feed; what is pending is skipped."""
        self.step_out()
        self._take_leave()
        self._owner = self._held = None
        if self._throttle is not None:
            self._throttle.stop()
        self._backlog.clear()
        self._group.leave(self)

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""
        if self._owner is None or self._finished:
            return
        self.step_out()
        self._take_leave()
        self._finished = True

    def offer(self) -> bytes:
        """Return what to send next, chosen anew each time; nothing if all that was pending has expired.

        Raises whatever `on_gap` does.
        """
        self.step_out()
        payload = self._begun
        if payload is not None:
            # Its first bytes are out, without a notice.
            self._offered, self._begun = payload, None
            return self._begun_as
        self._given_up = None
        if self._held is not None:
            self._merge_held(self._held)
        self._drop_expired()
        first = self._offered = self._first()
        if first is None:
            self.look_again()
            return b""
        notice = b""
        if self._gaps is not None:
            # The notice may choose another one than the first.
            told, first = self._gaps.notice(first, self._lost(), self._is_old, self._wake)
            if told is None:
                self._offered = None
                return b""
            notice, self._offered = told, first
        body = first.body if self._bases is None else self._bases.sent_as(first).body
        if self.progress is not None:
            body = self.progress.line_before(self._backlog, first) + body
        framed = self.framed
        body = notice + body if framed is None else (framed(notice) if notice else b"") + framed(body)
        if self._throttle is not None:
            self._throttle.size = len(body)
        return body

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last."""
        payload, self._offered = self._offered, None
        assert payload is not None
        self._held = None
        if self._gaps is not None:
            self._gaps.told = self._gaps.noted
        if self._throttle is not None:
            self._throttle.sent(payload)
        if payload is self._given_up:
            self._joined_at -= 1
        else:
            self._backlog.drop(payload)
            if self._bases is not None:
                self._bases.sent(payload)
        if self.progress is not None:
            self.progress.taken(payload)
        self._delivered += 1
        if self._owner is None:
            self._feed.delivered_late()
        elif self._throttle is not None:
            self._throttle.arm()

    # What broadcasts and its exchange do --------------------------------------------------------------

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Share a broadcast with others, from now on or soon: all that was published is sent."""
        if self._broadcast is not None or self._owner is None or self._finished or self._group.is_closed:
            return
        if self._throttle is not None and self._throttle.is_limited:
            return
        self._waits_for = self._group.broadcast(host, chunks=chunks)
        self._waits_for.step_in(self, send)

    def is_owed(self, backlog: LatestBacklog | EveryBacklog, bases: Bases | None) -> bool:
        """Return whether the same is pending for it, with no gap to be told.

        Who waits for very much is not asked: with each payload it would cost as much as all that wait.
        """
        own = self._backlog
        if len(own) != len(backlog) or len(own) > _MUCH or self._held is not None:
            return False
        if any(a is not b for a, b in zip(own.payloads(), backlog.payloads(), strict=True)):
            return False
        if self._bases is not None and not self._bases.equals(bases):
            return False
        return self._gaps is None or self._lost() == self._gaps.told

    def stepped_in(self, broadcast: Broadcast) -> None:
        """Note that it is in step; what was pending for it is pending there."""
        self._backlog.clear()
        self._broadcast, self._waits_for = broadcast, None
        self._merged -= broadcast.merged
        self._group.stepped_in(self)

    def step_out(self) -> None:
        """Note that it is served for itself, with what is pending."""
        if self._waits_for is not None:
            self._waits_for.withdraw(self)
            self._waits_for = None
        broadcast = self._broadcast
        if broadcast is None:
            return
        assert self._owner is not None
        self._owner.settle_counts(self)
        for payload in broadcast.pending_for(self):
            if self._group.merger is not None:
                # No more than one can be there: what a pass is sending.
                self._held = self._unsent(payload.key) or self._held
            self._backlog.add(payload)
        self._merged += broadcast.merged
        if self._bases is not None:
            broadcast.give_bases(self, self._bases)
        broadcast.remove(self)
        self._broadcast = None
        self._group.stepped_out(self)
        if self._backlog:
            self._wake()

    def fell_short(self, payload: Payload, sent_as: bytes, taken: int, now: float) -> None:
        """Note that its socket took only `taken` wire bytes of what is sent of a payload.

        `~taken` of what was made for it alone, and will go out whatever was taken of it.
        """
        owner = self._owner
        assert owner is not None
        self.step_out()
        if taken:
            self._begun, self._begun_as = payload, sent_as
        owner.broadcast_fell_short(taken, now)

    def give_up(self, now: float, *, is_cut: bool = False) -> None:
        """Note that what its client has is not known any more, a part of a frame if `is_cut`."""
        owner, self._broadcast = self._owner, None
        if owner is not None:
            cause = Cause(EndKind.SERVER_DEFECT, "a defect left it unknown what the client has")
            owner.broadcast_lost(now, cause, is_cut=is_cut)

    def take_counts(self) -> "calls.BroadcastSent":
        """Return what a broadcast has sent since this was asked last."""
        broadcast = self._broadcast
        if broadcast is None:
            return 0, 0, 0.0
        count, body, wire = broadcast.take_counts(self)
        self._delivered += count
        return body, wire, broadcast.moved_at

    # What its feed does -------------------------------------------------------------------------------

    def add(self, payload: Payload) -> None:
        """Note one more payload."""
        owner, backlog = self._owner, self._backlog
        if self._bases is not None:
            self._bases.published(payload)
        if owner is None or self._finished or self._refuses(payload):
            return  # It left meanwhile, with another that its exchange followed; or takes in no more.
        if not backlog:
            self._wake()
        merger = self._group.merger
        if merger is None or (older := self._unsent(payload.key)) is None:
            backlog.add(payload)
        else:
            self._replace(older, payload, merger)
        if backlog.overflows:
            self.overflow()
        if self._throttle is not None:
            self._throttle.arm()

    def discard(self, key: Hashable) -> None:
        """Skip what is pending of a key."""
        self._backlog.discard(key)
        if self._bases is not None:
            self._bases.forget(key)
        if self._held is not None and self._held.key == key:
            self._held = None
        if self._gaps is not None:
            # It doesn't go out with its notice either.
            self._gaps.forget(key)
        self._tell_if_ended()

    def give(self, payload: Payload) -> None:
        """Have it begin with the latest value of one more key."""
        if self._owner is None or self._finished or self._is_dropped(payload.key):
            return
        if not self._backlog:
            self._wake()
        self._joined_at -= 1
        if self.progress is not None:
            self.progress.owe(payload)
        if self._bases is not None:
            self._bases.begin(payload.key)
        self._backlog.add(payload)
        self.look_again()

    def take_back(self, key: Hashable) -> None:
        """Have nothing more of a key be pending: it counts as never published for this one."""
        if self._owner is None:
            return
        under_way = self._offered or self._begun
        held = self._held
        if held is not None and held.key == key:
            self._held, self._joined_at = None, self._joined_at + 1
            if held is under_way:
                self._given_up = under_way
        elif under_way is not None and under_way.key == key and self._backlog.first() is under_way:
            self._given_up = under_way
        self._joined_at += self._backlog.discard(key)
        if self._bases is not None:
            self._bases.forget(key)
        if self._gaps is not None:
            self._gaps.forget(key)
        self._tell_if_ended()

    def overflow(self) -> None:
        """Note that more waits for it than may: its exchange is reset."""
        if self._owner is not None:
            self._owner.reset(self._group.clock(), _TOO_MANY)

    def fail(self, error: BaseException) -> None:
        """Note that the function that says what is wanted has raised: its follow ends with that."""
        if self._owner is not None:
            self._owner.follow_failed(error, self._group.clock())

    def feed_closed(self) -> None:
        """Note that nothing more will be published."""
        if self._owner is not None:
            self._owner.feed_closed(self._group.clock())

    # Inside -------------------------------------------------------------------------------------------

    def _tell_if_ended(self) -> None:
        """Have its follow end, if what was the last to be sent is not any more."""
        if self._owner is not None and self.ended:
            self._owner.feed_closed(self._group.clock())

    def _replace(self, older: Payload, newer: Payload, merger: Merger) -> None:
        """Put a newer payload of a key in the place of one that is pending, merged if it can be."""
        if older is self._offered or older is self._begun:
            self._held = older
            self._backlog.add(newer)
            return
        merged = merger.merged(older, newer)
        # What ran in that may have ended the follow.
        if self._owner is None or self._unsent(newer.key) is not older:
            return
        self._backlog.add(newer if merged is None else merged)
        self._merged += merged is not None

    def _merge_held(self, older: Payload) -> None:
        """Merge what was not sent after all with what was published since."""
        self._held = None
        merger, newer = self._group.merger, self._unsent(older.key)
        merged = None if merger is None or newer is None else merger.merged(older, newer)
        if merged is not None and self._unsent(older.key) is newer:
            self._backlog.add(merged)
            self._merged += 1

    def _is_old(self, payload: Payload) -> bool:
        return self.max_age < inf and self._group.clock() - payload.at > self.max_age

    def _drop_expired(self) -> None:
        while (payload := self._first()) is not None and self._is_old(payload):
            if self._bases is not None and isinstance(self._backlog, LatestBacklog):
                # Whoever comes back must not get a delta to it.
                self._backlog.expire(payload)
            else:
                self._backlog.drop(payload)
            self._expired += 1
