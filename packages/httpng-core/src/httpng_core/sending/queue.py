"""The writers of one response that wait for room, in order: when their bytes are accepted.

1. A write is accepted whole as soon as it is first in line and what is left of it fits into its window.
2. A body longer than its window is accepted frame by frame while it is first in line, each frame only
   when the socket can take it and nothing accepted earlier still waits to be committed.
3. A follow that is first in line chooses one payload at a time, whole, which is accepted and committed when
   the kernel has taken a part of it. Its window is open when nothing is in flight or the payload fits.
   Along a path, a payload that waits when something is acknowledged was refused room until then.
4. A message is accepted whole, once it fits. One that never will goes as a payload does: when nothing is in
   flight, and it is accepted when the kernel has taken a part of it. The call waits until the rest fits.
5. What was accepted is never taken back; what was not is never sent once the write has left the line.

A queue exists only while somebody waits. It decides; the exchange settles the calls.
"""

from collections import deque
from collections.abc import Callable

from httpng_core.config.types import Until
from httpng_core.errors import ContentLengthError
from httpng_core.sending.body import ResponseBody
from httpng_core.sending.calls import Follow, Message, Source, Write


class WriterQueue:
    """Writes and follows in the order of their calls.

    Attributes:
        chosen: the payload that the follow which is first in line would send next, or the message that is, or
            nothing.
        chosen_at: when it was chosen.
    """

    __slots__ = ("_waiting", "chosen", "chosen_at")

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self.chosen = b""
        self.chosen_at = 0.0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def follow(self) -> Follow | None:
        """The follow that is first in line, if one is."""
        first = self._waiting[0] if self._waiting else None
        return first if isinstance(first, Follow) else None

    @property
    def chooser(self) -> Write | None:
        """Whose bytes were chosen: the follow or message that is first in line."""
        return self._waiting[0] if self.chosen else None

    @property
    def is_waited_in(self) -> bool:
        """Whether anybody waits."""
        return len(self._waiting) > 0

    @property
    def following(self) -> Source | None:
        """The source of the follow that is first in line, if one is."""
        first = self.follow
        return None if first is None else first.source

    @property
    def any_follow(self) -> Follow | None:
        """The follow that stands in the line, first or not, if one does: there is one at most."""
        for write in self._waiting:
            if isinstance(write, Follow):
                return write
        return None

    def waits_until(self, until: Until) -> bool:
        """Return whether who is first in line waits for bytes to come as far as `until`."""
        return bool(self._waiting) and self._waiting[0].until == until

    @property
    def rest(self) -> int:
        """How many bytes of all that wait were not accepted yet."""
        return sum(write.rest for write in self._waiting)

    @property
    def since(self) -> float:
        """When the one that is first in line called; it is of no use when nobody waits."""
        return self._waiting[0].began if self._waiting else 0.0

    def append(self, write: Write) -> None:
        """Put `write` at the end of the line."""
        self._waiting.append(write)

    def remove(self, write: Write) -> None:
        """Take `write` out of the line; what was accepted of it stays accepted."""
        if write is self._waiting[0]:
            self.chosen = b""
        self._waiting.remove(write)

    def finish_follows(self) -> bool:
        """Have the follows end that go on until the server drains; return whether there is one."""
        found = False
        for write in self._waiting:
            if isinstance(write, Follow) and write.until_draining:
                write.source.finish()
                found = True
        return found

    def set_limit(self, limit: int) -> None:
        """Have all that wait go by this send window."""
        for write in self._waiting:
            write.set_limit(limit)

    def clear(self) -> list[Write]:
        """Empty the line, and return who stood in it."""
        left = list(self._waiting)
        self._waiting.clear()
        self.chosen = b""
        return left

    def advance(
        self, body: ResponseBody, now: float, settle: Callable[[Write, Exception | None], None]
    ) -> None:
        """Give every write its turn that can have one; `settle` is called with each that is through."""
        waiting = self._waiting
        while waiting:
            write = waiting[0]
            error = None
            if isinstance(write, Follow):
                if not write.source.ended or self.chosen or body.current > body.sent:
                    return
            elif isinstance(write, Message):
                if not write.is_due:
                    return
                if not write.accepted:
                    self.chosen = b""
                    write.accept(body.current)
                    body.accept(write.body, now)
            else:
                accepted = write.accepted
                rest = len(write.body) - accepted
                try:
                    body.check_length(rest)
                except ContentLengthError as refusal:
                    error = refusal
                if error is None:
                    reached = body.sent if write.until == "sent" else body.reached(write.until)
                    if not body.drops and body.current - reached + rest > write.limit:
                        return
                    body.accept(write.body[accepted:] if accepted else write.body, now)
                    write.accepted = accepted + rest
            waiting.popleft()
            settle(write, error)

    # Long writes: rule 2 ------------------------------------------------------------------------------

    def draws(self, body: ResponseBody) -> bool:
        """Return whether the next frame would be accepted from a caller that still waits."""
        if body.buffered or not self._waiting:
            return False
        first = self._waiting[0]
        if not first.is_long or not first.rest:
            return False
        # Until sent, the socket says when there is room; beyond that, the window does.
        return first.until == "sent" or body.in_flight(first.until) <= first.limit

    def draw(self, body: ResponseBody, limit: int, now: float) -> None:
        """Accept up to `limit` bytes of the long write that is first in line."""
        write = self._waiting[0]
        piece = write.body[write.accepted : write.accepted + limit]
        write.accepted += len(piece)
        body.accept(piece, now)

    # Follows: rule 3 ----------------------------------------------------------------------------------

    def can_choose(self, body: ResponseBody) -> bool:
        """Return whether the follow that is first in line has a payload for which its window is open."""
        if body.buffered or not self._waiting:
            return False
        first = self._waiting[0]
        if isinstance(first, Message):
            return first.goes_alone
        if not isinstance(first, Follow):
            return False
        size = first.source.size
        return size > 0 and _is_open(body, first, size)

    def is_refused(self, body: ResponseBody) -> bool:
        """Return whether the follow that is first in line has a payload for which its window is closed."""
        first = self._waiting[0] if self._waiting else None
        if not isinstance(first, Follow):
            return False
        size = first.source.size
        return size > 0 and not _is_open(body, first, size)

    def note_refusal(self, body: ResponseBody, until: Until) -> None:
        """Tell the path as far as `until` of a payload that had no room before bytes came so far."""
        path = body.path
        if path is not None and body.path_until == until and self.is_refused(body):
            path.refused(path.changed_at)

    def choose(self, body: ResponseBody, now: float) -> None:
        """Choose the payload that goes next, anew each time.

        This runs code of the user's (`on_gap`), which may do anything, so nothing may be half done when it is
        called, and nothing may be taken for granted afterwards. It raises whatever that code raises.
        """
        follow = self._waiting[0]
        if isinstance(follow, Message):
            self.chosen, self.chosen_at = follow.body, now
            return
        assert isinstance(follow, Follow)
        follow.refused, self.chosen = 0, b""
        payload = follow.source.offer()
        if follow.settled or not payload:
            return
        size = len(payload) if follow.positions is None else follow.positions.offered
        if _is_open(body, follow, size):
            self.chosen, self.chosen_at = payload, now
        else:
            follow.refused = size


def _is_open(body: ResponseBody, follow: Follow, size: int) -> bool:
    positions, until = follow.positions, follow.until
    in_flight = body.in_flight(until) if positions is None else positions.in_flight(until)
    if in_flight == 0:
        return True
    # What is chosen may be longer than the payload, by the notice of a gap: then it needs that much room.
    size = max(size, follow.refused)
    return in_flight + size <= follow.limit_for(size)
