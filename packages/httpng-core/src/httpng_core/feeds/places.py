"""Where a follower stands among those in step, and up to where its books were taken."""

from typing import Protocol

Books = tuple[int, int, int]
"""Payloads, body bytes and wire bytes."""


class Place(Protocol):
    """Where a follower stands in a sweep.

    Attributes:
        slot: its place, while it is in step.
        base: the totals up to which its books were taken.
    """

    slot: int
    base: Books
