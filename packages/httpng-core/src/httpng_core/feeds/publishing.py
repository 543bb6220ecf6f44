"""What a feed does with what is published: it keeps the newest values, and hands all to the loops there are.

What was published elsewhere, as where a broker feeds several processes, is mirrored: it keeps the number
that it has there. So an id that one process has given is understood by all, and by those that come after.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager

from httpng_core.feeds.backlog import Payload
from httpng_core.feeds.checks import OnRemove, check_key, checked_payload
from httpng_core.feeds.deltas import Latest, note_place
from httpng_core.feeds.inbox import ANY_KEY
from httpng_core.feeds.merging import Asked, merged_of
from httpng_core.feeds.past import Past
from httpng_core.feeds.per_loop import FeedLoop, keep
from httpng_core.sending.host import CallInLoop


class Publishing:
    """The part of a feed that takes what is published. See `Feed`, which sets all of this."""

    clock: Callable[[], float]
    is_closed: bool
    published: int
    _loops: dict[CallInLoop | None, FeedLoop]
    _delta: tuple[Asked, int] | None
    _keeps_every: bool
    _latest: Latest
    _lock: AbstractContextManager[object]
    _merge: Asked | None
    # Of what was published last.
    _number: int
    _on_remove: OnRemove | None
    _past: Past | None

    # What is published elsewhere ----------------------------------------------------------------------

    def mirror(self, payload: bytes | str, key: Hashable, number: int) -> None:
        """Publish what was published elsewhere, under its number there; on a closed feed do nothing.

        In any thread, if the feed has a lock.

        Args:
            payload: as for `publish`.
            key: likewise.
            number: more than any before. Where each is one more than the one before, what is lost to those
                that come back is told exactly.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        body = checked_payload(payload)
        check_key(key)
        self._publish(body, key, number)

    def mirror_removal(self, key: Hashable, number: int) -> None:
        """Take a value away that was removed elsewhere; `number` is that of its removal. See `mirror`.

        One that has no value here may have had one elsewhere: it is told as well. If `on_remove` raises, that
        is raised when the value is gone.
        """
        check_key(key)
        body = None
        try:
            body = self._told_of(key)
        finally:
            self._remove(key, body, number)

    def mirror_from(self, number: int) -> None:
        """Note that nothing is known of what was published elsewhere before this: ids of then are unknown."""
        with self._lock:
            self._number = max(self._number, number)
            if self._past is not None:
                self._past.begin_at(number)
            for loop in self._loops.values():
                loop.begin_at(number)

    def lose(self, count: int, key: Hashable = ANY_KEY) -> None:
        """Note that so many were published elsewhere and never will come here.

        They count as published, and as skipped for each follower that wants the key: those that may be told
        of a gap are, ahead of the next payload. In any thread, if the feed has a lock.

        Args:
            count: how many.
            key: of which key they were. By default nobody knows: they count for all followers, so one that
                wants some keys alone is told of that many at most.
        """
        with self._lock:
            if self.is_closed or count <= 0:
                return
            self.published += count
            called = [loop for loop in self._loops.values() if loop.hand_lost(key, count)]
        for loop in called:
            loop.call()

    # Inside -------------------------------------------------------------------------------------------

    def _publish(self, body: bytes, key: Hashable, number: int | None = None) -> bool:
        """Publish, unless the feed is closed; return whether it was not."""
        if self._merge is not None:
            return self._publish_merged(body, key, number)
        with self._lock:
            if self.is_closed:
                return False
            payload = self._numbered(body, key, number)
            if not self._keeps_every:
                if self._delta is not None:
                    note_place(payload, self._latest)
                keep(self._latest, payload)
            if self._past is not None:
                self._past.keep(payload)
            called = self._hand(payload)
        # Without the lock, as it may be the thread of a loop, which takes it at once.
        for loop in called:
            loop.call()
        return True

    def _publish_merged(self, body: bytes, key: Hashable, number: int | None) -> bool:
        """Publish what may be merged with a payload that is on its way to a loop.

        It is merged without the lock, and anew if another thread has published or taken one meanwhile.
        """
        assert self._merge is not None
        made: dict[Payload, bytes | None] = {}
        while True:
            with self._lock:
                if self.is_closed:
                    return False
                loops = list(self._loops.values())
                waiting = {loop: loop.waiting(key) for loop in loops}
                missing = [each for each in waiting.values() if each is not None and each not in made]
                if not missing:
                    payload = self._numbered(body, key, number)
                    note_place(payload, self._latest)
                    keep(self._latest, payload)
                    called = [
                        loop
                        for loop, older in waiting.items()
                        if loop.hand(payload, merged_of(made, older, payload))
                    ]
                    break
            for older in missing:
                made[older] = None if older.removes else self._merge.answer(older.body, body)
        for loop in called:
            loop.call()
        return True

    def _numbered(self, body: bytes, key: Hashable, number: int | None) -> Payload:
        self.published += 1
        self._number = self._number + 1 if number is None else number
        return Payload(body, key, self.clock(), self._number)

    def _remove(self, key: Hashable, body: bytes | None, number: int | None = None) -> bool:
        """Take a value away, and tell it by `body`; return whether there was one."""
        with self._lock:
            if self.is_closed:
                if number is not None:
                    return False
                raise RuntimeError("the feed is closed")
            found = self._latest.pop(key, None) is not None
            if not found and (number is None or body is None):
                return False
            self.published += body is not None
            if number is None:
                self._number += body is not None
            else:
                self._number = number
            removal = Payload(body or b"", key, self.clock(), self._number, removes=True)
            if self._past is not None:
                self._past.keep(removal)
            called = self._hand(removal)
        for loop in called:
            loop.call()
        return found

    def _told_of(self, key: Hashable) -> bytes | None:
        """Return what tells that a key is removed."""
        told = None if self._on_remove is None else self._on_remove(key)
        return None if told is None else checked_payload(told)

    def _hand(self, payload: Payload) -> list[FeedLoop]:
        return [loop for loop in self._loops.values() if loop.hand(payload)]
