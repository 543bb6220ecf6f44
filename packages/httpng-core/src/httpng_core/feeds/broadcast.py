"""Followers in step: they have had all that was published, and get what comes next in one broadcast.

1. A follower steps in when its client has taken all it was sent, at once and whole. What is published from
   then on is pending once for all that are in step.
2. A pass sends one payload to each in turn. Those before the cursor have it; for those behind it is pending.
3. A follower steps out when its socket takes less than a whole payload, when its exchange is asked for more
   than following, or when it is owed something that the others are not. What is pending goes with it.
4. What a follower was sent is the difference of the totals, now and when it stepped in. So a payload that is
   taken whole costs a call of `send()` and a comparison, and is counted with the others.
5. A newer value of the key that a pass is sending ends the pass: those that were not reached skip the older
   one and come first in the next. Where values are merged or sent as deltas it doesn't: all get both.
6. Where payloads have ids, one is chosen with each pass: what is owed to all is the same.
"""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.deltas import Bases, Deltas
from httpng_core.feeds.merging import Merger
from httpng_core.feeds.places import Counts, Place
from httpng_core.feeds.resume import Ids
from httpng_core.sending.host import DirectSend

if TYPE_CHECKING:
    from httpng_core.feeds.follower import Follower

MAX_PAYLOAD = 16 * 1024 - 64
"""Longer payloads are sent to each follower for itself: there the copy costs more than counting.

With its id before it, and what is framed around it, a payload fits into a record of TLS, and into a DATA
frame of any client's.
"""
_FRAME_HEAD: Final = 9


class Broadcast:
    """The followers of one feed that are in step and share an event loop.

    Over HTTP/1.1 all get the same chunk. Over HTTP/2 all get the same payload: each is sent by what frames
    it for one stream, and what seals it for one client is likewise behind the function that sends.
    """

    __slots__ = (
        "_backlog",
        "_bases",
        "_candidates",
        "_chunks",
        "_clock",
        "_cursor",
        "_gone",
        "_ids",
        "_max_age",
        "_members",
        "_merger",
        "_payload",
        "_schedule",
        "_scheduled",
        "_sends",
        "_sent_as",
        "_totals",
        "merged",
        "moved_at",
    )

    def __init__(
        self,
        backlog: LatestBacklog | EveryBacklog,
        clock: Callable[[], float],
        schedule: Callable[["Broadcast"], None],
        merger: Merger | None = None,
        deltas: Deltas | None = None,
        ids: Ids | None = None,
        *,
        chunks: bool = True,
    ) -> None:
        """Send chunks of HTTP/1.1, or payloads as they are."""
        self._chunks = chunks
        self.moved_at = 0.0
        """When the last payload was sent."""
        self.merged = 0
        """How many payloads went into newer ones here."""
        self._merger = merger
        # What all who are in step were sent last, if they are sent deltas.
        self._bases = None if deltas is None else Bases(deltas)
        self._ids = ids
        self._backlog = backlog
        self._clock = clock
        self._schedule = schedule
        self._scheduled = False
        # What a pass is sending, and what is sent of it.
        self._payload: Payload | None = None
        self._sent_as: Payload | None = None
        self._totals: Counts = (0, 0, 0)
        self._cursor = 0
        self._members: list[Follower | None] = []
        self._sends: list[DirectSend] = []
        self._gone = 0
        self._max_age = inf
        self._candidates: dict[Follower, DirectSend] = {}

    @property
    def is_scheduled(self) -> bool:
        """Whether a driver was asked to send."""
        return self._scheduled

    @property
    def places(self) -> int:
        """How many places there are, those of members that are gone included."""
        return len(self._members)

    @property
    def members(self) -> int:
        """How many are in step."""
        return len(self._members) - self._gone

    @property
    def joining(self) -> int:
        """How many step in as soon as that is the same for all."""
        return len(self._candidates)

    @property
    def pending(self) -> int:
        """How many payloads are to be sent, the one that is being sent included."""
        return len(self._backlog) + (self._payload is not None)

    # What feeds and followers do ----------------------------------------------------------------------

    def add(self, payload: Payload) -> None:
        """Note one more payload. Followers that step out by that have to be given it individually."""
        if self._bases is not None and self._gone < len(self._members):
            self._bases.published(payload)
        if self._merger is not None and self._merges(payload, self._merger):
            return
        backlog, current = self._backlog, self._payload
        if backlog.would_lose(payload):
            self._step_out(0, lambda member: member.notes_gaps or not backlog.replaces)
        elif current is not None and backlog.would_lose(payload, len(current.body)):
            # That is so only for those that the pass has not reached.
            self._step_out(self._cursor, lambda member: True)
        self._supersede(payload)
        if self._gone == len(self._members):
            return
        self._backlog.add(payload)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self)

    def tell_gap(self) -> None:
        """Note that something was skipped for all: those that may be told so step out."""
        self._step_out(0, lambda member: member.notes_gaps)

    def discard(self, removal: Payload) -> None:
        """Send nothing of this key any more. Followers that step out by that have to be told individually."""
        key = removal.key
        if self._bases is not None:
            self._bases.forget(key)
        if self._payload is not None and self._payload.key == key:
            self._step_out(self._cursor, lambda member: True)
        if self._backlog.would_lose(removal):
            self._step_out(0, lambda member: member.notes_gaps)
            self._backlog.discard(key)

    def step_in(self, member: "Follower", send: DirectSend) -> None:
        """Note that `member` may step in as soon as exactly the same is pending for it as for the others."""
        self._candidates[member] = send
        if self._payload is None:
            self._admit()

    def withdraw(self, member: "Follower") -> None:
        """Note that `member` may not step in after all."""
        self._candidates.pop(member, None)

    def take_counts(self, member: Place) -> Counts:
        """Return what was sent to `member` since this was asked last."""
        taken = self.uncounted(member)
        before = member.base
        member.base = before[0] + taken[0], before[1] + taken[1], before[2] + taken[2]
        return taken

    def uncounted(self, member: Place) -> Counts:
        """Return what `take_counts` would tell now."""
        count, body, wire = self._totals
        if self._sent_as is not None and member.slot < self._cursor:
            count, body, wire = self._plus(self._totals, self._sent_as)
        before = member.base
        return count - before[0], body - before[1], wire - before[2]

    def count_pending(self, member: Place) -> int:
        """Return how many payloads `member` has not been sent."""
        return len(self._backlog) + (self._payload is not None and member.slot >= self._cursor)

    def pending_for(self, member: "Follower") -> list[Payload]:
        """Return what `member` has not been sent, in order."""
        payloads = self._backlog.payloads()
        if self._payload is not None and member.slot >= self._cursor:
            payloads.insert(0, self._payload)
        return payloads

    def give_bases(self, member: Place, bases: Bases) -> None:
        """Note in `bases` what `member` was sent last of each key."""
        assert self._bases is not None
        bases.take_over(self._bases)
        if self._payload is not None and member.slot < self._cursor:
            bases.sent(self._payload)

    def remove(self, member: "Follower") -> None:
        """Note that `member` steps out; its counts were taken, and what is pending for it is now its own."""
        self._vacate(member.slot)
        # Not in a pass, where a driver counts places; and seldom, as it costs a look at each.
        if self._payload is None and self._gone * 2 > len(self._members):
            self._renumber()

    def dissolve(self) -> None:
        """Have all step out."""
        self._step_out(0, lambda member: True)

    # What drivers do ----------------------------------------------------------------------------------

    def next_sends(self, limit: int) -> tuple[bytes, list[DirectSend], range]:
        """Return what to send, and by which of the functions: at most `limit`. Then call `passed`.

        Call `fell_short` at once for one that returns another number than the length of the whole.
        """
        payload, sent_as = self._payload or self._begin(), self._sent_as
        if payload is None or sent_as is None:
            return b"", [], range(0)
        if self._clock() - payload.at > self._max_age:
            age = self._clock() - payload.at
            self._step_out(self._cursor, lambda member: member.max_age < age)
        stop = min(self._cursor + limit, len(self._members))
        return sent_as.chunk if self._chunks else sent_as.body, self._sends, range(self._cursor, stop)

    def fell_short(self, index: int, taken: int, now: float) -> None:
        """Note that the send at `index` returned `taken`, which is not the whole; all before it took that.

        If this raises, by a defect, the follower at `index` was given up; then `disband`.
        """
        self._cursor = index
        member, payload, sent_as = self._members[index], self._payload, self._sent_as
        assert member is not None
        assert payload is not None
        assert sent_as is not None
        try:
            member.fell_short(payload, sent_as.body, taken, now)
        except Exception:
            # Its client has a part of a payload that is counted nowhere.
            self._give_up(member, now, is_cut=taken != 0)
            raise

    def passed(self, sends: range, now: float) -> bool:
        """Note that all of `sends` were made; return whether there is more to send."""
        self.moved_at, self._cursor = now, sends.stop
        if self._cursor >= len(self._members):
            self._end_pass()
        self._scheduled = self._payload is not None or len(self._backlog) > 0
        return self._scheduled

    def disband(self, now: float) -> None:
        """Have all step out, or give them up if they can't, and begin anew: after a defect."""
        for member in [member for member in self._members if member is not None]:
            try:
                member.step_out()
            except Exception:
                self._give_up(member, now)
        self._candidates.clear()
        self._members, self._sends, self._gone = [], [], 0
        self._scheduled, self._payload, self._cursor = False, None, 0
        self._sent_as = None
        self._forget()

    # Inside -------------------------------------------------------------------------------------------

    def _merges(self, payload: Payload, merger: Merger) -> bool:
        """Put a payload into the older one of its key that is pending; return whether it was."""
        backlog = self._backlog
        assert isinstance(backlog, LatestBacklog)
        older = backlog.get(payload.key)
        merged = None if older is None else merger.merged(older, payload)
        # What ran in that may have had all leave.
        if merged is None or backlog.get(payload.key) is not older:
            return False
        self._backlog.add(merged)
        self.merged += 1
        return True

    def _begin(self) -> Payload | None:
        """Take the next payload off the backlog, for a pass over all."""
        payload = self._backlog.first()
        if payload is None:
            # It was removed since a driver was asked to send.
            return None
        line = b"" if self._ids is None else self._ids.line_before(self._backlog, payload)
        if len(line) + len(payload.body) >= MAX_PAYLOAD:
            self.dissolve()
        if self._gone == len(self._members):
            self._forget()
            return None
        self._backlog.drop(payload)
        self._payload = self._sent_as = payload
        if self._bases is not None:
            self._sent_as = self._bases.sent_as(payload)
        if line:
            self._sent_as = Payload(line + self._sent_as.body, payload.key, payload.at)
        return payload

    def _forget(self) -> None:
        """Keep nothing for those in step: there are none."""
        self._backlog.clear()
        if self._bases is not None:
            self._bases.clear()

    def _end_pass(self) -> None:
        if self._payload is not None and self._sent_as is not None:
            self._totals = self._plus(self._totals, self._sent_as)
            if self._bases is not None:
                self._bases.sent(self._payload)
        self._payload = self._sent_as = None
        self._cursor = 0
        if self._gone:
            self._renumber()
        if not self._members:
            self._forget()
        self._admit()

    def _supersede(self, payload: Payload) -> None:
        """Apply rule 5, if `payload` is a newer value of what is being sent."""
        current = self._payload
        if current is None or not self._backlog.replaces or current.key != payload.key:
            return
        if self._merger is not None or self._bases is not None:
            return
        # With others pending behind it, the order would not be the same for all.
        apart = len(self._backlog) > 0
        self._step_out(self._cursor, lambda member: apart or member.notes_gaps)
        for member in self._members[self._cursor :]:
            if member is not None:
                member.base = self._plus(member.base, current)
        cursor = self._cursor
        self._members = self._members[cursor:] + self._members[:cursor]
        self._sends = self._sends[cursor:] + self._sends[:cursor]
        self._renumber()
        self._end_pass()

    def _admit(self) -> None:
        if not self._candidates:
            return
        candidates, self._candidates = self._candidates, {}
        if self._bases is not None and self._gone == len(self._members):
            self._bases.clear()
        for member, send in candidates.items():
            if member.is_owed(self._backlog, self._bases):
                member.slot, member.base = len(self._members), self._totals
                self._members.append(member)
                self._sends.append(send)
                self._max_age = min(self._max_age, member.max_age)
                member.stepped_in(self)

    def _vacate(self, slot: int) -> None:
        """Leave a place that stands for a socket that takes all, until it is closed."""
        self._members[slot] = None
        self._sends[slot] = len
        self._gone += 1

    def _give_up(self, member: "Follower", now: float, *, is_cut: bool = False) -> None:
        if member in self._members:
            self._vacate(member.slot)
        member.give_up(now, is_cut=is_cut)

    def _renumber(self) -> None:
        """Close the places of those that stepped out."""
        kept = [(member, send) for member, send in zip(self._members, self._sends, strict=True) if member]
        self._members = [member for member, _ in kept]
        self._sends = [send for _, send in kept]
        for slot, (member, _) in enumerate(kept):
            member.slot = slot
        self._gone = 0
        self._max_age = min((member.max_age for member, _ in kept), default=inf)

    def _step_out(self, first: int, concerns: Callable[["Follower"], bool]) -> None:
        for member in self._members[first:]:
            if member is not None and concerns(member):
                member.step_out()

    def _plus(self, counts: Counts, payload: Payload) -> Counts:
        count, body, wire = counts
        size = len(payload.body)
        return count + 1, body + size, wire + (len(payload.chunk) if self._chunks else size + _FRAME_HEAD)
