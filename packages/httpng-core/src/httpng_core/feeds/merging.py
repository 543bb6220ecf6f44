"""Merging: what takes the place of a value that was not sent may be made of both.

1. Merged are two payloads of one key, the older one first. A removal is never merged: it takes the place of
   what waits, and what is published after it takes its place.
2. What was merged is merged again as if it had been published: so it must not matter in which order several
   are put together (sums, maxima, bars), and a function may be asked for what doesn't come to be.
3. A function that fails costs what could not be merged, nothing else: the newer payload replaces the older.
"""

import logging
from collections.abc import Callable

from httpng_core.errors import is_handlers_error
from httpng_core.feeds.backlog import Payload
from httpng_core.feeds.checks import checked_payload

Merge = Callable[[bytes, bytes], "bytes | str"]
"""Gets two payloads of a key, the older one first; returns what is sent in place of both."""

_log = logging.getLogger("httpng")


class Asked:
    """A function of the user's that a feed asks in any thread: what it raises is logged, the first time."""

    __slots__ = ("_failed", "_function", "_name", "_otherwise")

    def __init__(self, name: str, function: Callable[[bytes, bytes], object], otherwise: str) -> None:
        """`otherwise` says what is done where it fails."""
        self._name = name
        self._function = function
        self._otherwise = otherwise
        self._failed = False

    def answer(self, older: bytes, newer: bytes) -> bytes | None:
        """Return what it makes of two payloads; `None`: that it made nothing, or failed."""
        try:
            made = self._function(older, newer)
            return None if made is None else checked_payload(made)
        except BaseException as error:
            if not is_handlers_error(error):
                raise
            self._tell(error)
            return None

    def _tell(self, error: BaseException) -> None:
        if not self._failed:
            self._failed = True
            told = "%s of a feed failed: %s; it is logged this once"
            _log.error(told, self._name, self._otherwise, exc_info=error)


def asked_merge(merge: Merge) -> Asked:
    """Return what asks a function of the user's to merge."""

    def must_merge(older: bytes, newer: bytes) -> bytes:
        # Nothing is no payload either.
        return checked_payload(merge(older, newer))

    return Asked("merge", must_merge, "newer values replace those that it can't merge")


def can_merge(older: Payload, newer: Payload) -> bool:
    """Return whether these two are to be merged."""
    return not older.removes and not newer.removes


def merged_payload(body: bytes, newer: Payload) -> Payload:
    """Return what stands for payloads of which `newer` is the last."""
    merged = Payload(body, newer.key, newer.at, newer.number)
    merged.published, merged.place = newer.published or newer, newer.place
    return merged


def merged_of(made: dict[Payload, bytes | None], older: Payload | None, newer: Payload) -> Payload | None:
    """Return what stands for both, if these are merged; `made` has the bytes of it."""
    body = None if older is None or not can_merge(older, newer) else made[older]
    return None if body is None else merged_payload(body, newer)


class Merger:
    """Merges what waits for the followers of one event loop: each pair once, however many wait for it."""

    __slots__ = ("_asked", "_made", "_newer")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._newer: Payload | None = None
        self._made: dict[Payload, Payload | None] = {}

    def merged(self, older: Payload, newer: Payload) -> Payload | None:
        """Return both in one; `None`: the newer one replaces the older. Code of the user's runs in this."""
        if not can_merge(older, newer):
            return None
        if newer is not self._newer:
            self._newer, self._made = newer, {}
        made = self._made
        if older not in made:
            body = self._asked.answer(older.body, newer.body)
            made[older] = None if body is None else merged_payload(body, newer)
        return made[older]

    def forget(self) -> None:
        """Keep nothing of what was merged: all have been given the payload."""
        self._newer, self._made = None, {}
