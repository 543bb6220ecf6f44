"""Deltas: what a follower is sent may say what has changed since what it was sent last of the key.

1. A delta is made when its payload is sent, against what this follower was sent last. So what it skips breaks
   no chain: that was never a base.
2. Each is made once for a base and a payload, however many followers have that base; those in step have.
3. Most have been sent the latest value of most keys. So a follower keeps its base only of those keys of which
   it has another: what is pending, has expired or was merged. The rest is what its loop keeps anyway.
4. A whole value goes out where there is no base, where the delta would be longer or can't be made, and when
   as many values of the key have been published as the feed says.
"""

from collections.abc import Callable, Hashable
from typing import Final

from httpng_core.feeds.backlog import Payload
from httpng_core.feeds.merging import Asked

Delta = Callable[[bytes, bytes], "bytes | str | None"]
"""Gets what a client was sent last of a key, and a newer payload; may return what is sent in its place."""
Latest = dict[Hashable, Payload]
"""The newest payload of each key, in the order of their publication."""

FULL_EVERY = 100
"""After so many values of a key a whole one is sent, unless a feed says otherwise."""
_BASES: Final = 16
"""For so many bases of a payload deltas are kept."""


def asked_delta(delta: Delta, full_every: int) -> tuple[Asked, int]:
    """Return what asks a function of the user's for deltas, but for each so many values of a key."""
    return Asked("delta", delta, "values are sent whole then"), full_every


def note_place(payload: Payload, latest: Latest) -> None:
    """Note how many values of the key come before it."""
    before = latest.get(payload.key)
    payload.place = 0 if before is None else before.place + 1


class Deltas:
    """Makes deltas for the followers of one event loop.

    Attributes:
        latest: the newest payload of each key that has come to this loop.
        before: what that was of the key of which a payload is given out now.
    """

    __slots__ = ("_asked", "_full_every", "_made", "before", "latest")

    def __init__(self, asked: Asked, full_every: int, latest: Latest) -> None:
        self.latest = latest
        self.before: Payload | None = None
        self._asked = asked
        self._full_every = full_every
        # Of each key, for the payload of which one was made last.
        self._made: dict[Hashable, tuple[Payload, dict[Payload, Payload]]] = {}

    def sent_as(self, payload: Payload, base: Payload | None) -> Payload:
        """Return what is sent of a payload to who was sent `base` last. Code of the user's runs in this."""
        if base is None or base is payload or base.removes or payload.removes:
            return payload
        if base.place // self._full_every != payload.place // self._full_every:
            return payload
        of, made = self._made.get(payload.key, (None, {}))
        if of is not payload:
            made = {}
            self._made[payload.key] = payload, made
        elif len(made) >= _BASES:
            made.clear()
        if base not in made:
            made[base] = self._delta(payload, base)
        return made[base]

    def forget(self, key: Hashable) -> None:
        """Keep nothing of a key that has no value any more."""
        self._made.pop(key, None)

    def _delta(self, payload: Payload, base: Payload) -> Payload:
        body = self._asked.answer(base.body, payload.body)
        if body is None or len(body) >= len(payload.body):
            return payload
        return Payload(body, payload.key, payload.at, payload.number)


class Bases:
    """What one follower, or those in step, were sent last of each key."""

    __slots__ = ("_deltas", "_others")

    def __init__(self, deltas: Deltas) -> None:
        self._deltas = deltas
        # Of the keys of which that isn't the latest.
        self._others: dict[Hashable, Payload | None] = {}

    def sent_as(self, payload: Payload) -> Payload:
        """Return what is sent of a payload. Code of the user's runs in this."""
        key = payload.key
        base = self._others[key] if key in self._others else self._deltas.latest.get(key)
        return self._deltas.sent_as(payload, base)

    def published(self, payload: Payload) -> None:
        """Note that there is a newer value of a key, or none any more."""
        if payload.removes:
            self._others.pop(payload.key, None)
        else:
            self._others.setdefault(payload.key, self._deltas.before)

    def begin(self, key: Hashable) -> None:
        """Note that the client has nothing of a key yet."""
        self._others[key] = None

    def forget(self, key: Hashable) -> None:
        """Note that there is nothing more to be sent of a key, or that it begins anew."""
        self._others.pop(key, None)

    def sent(self, payload: Payload) -> None:
        """Note that a payload was sent, or a delta that makes it."""
        latest = self._deltas.latest.get(payload.key)
        if payload.removes and latest is not None:
            # A newer value has been published meanwhile, and is pending.
            self._others[payload.key] = None
        elif latest is None or latest is payload:
            self._others.pop(payload.key, None)
        else:
            self._others[payload.key] = payload

    def take_over(self, others: "Bases") -> None:
        """Have the same bases as others."""
        self._others = others._others.copy()

    def equals(self, others: "Bases | None") -> bool:
        """Return whether these are the same bases as others."""
        return others is not None and self._others == others._others

    def clear(self) -> None:
        """Begin as one that was sent the latest of each key."""
        self._others.clear()
