"""Where a follower stands among those in step, and up to where its counts were taken."""

Counts = tuple[int, int, int]
"""Payloads, body bytes and wire bytes."""


class Place:
    """Where a follower stands in a broadcast.

    Attributes:
        slot: its place, while it is in step.
        base: the totals up to which its counts were taken.
    """

    __slots__ = ("base", "slot")

    def __init__(self) -> None:
        self.slot = -1
        self.base: Counts = (0, 0, 0)
