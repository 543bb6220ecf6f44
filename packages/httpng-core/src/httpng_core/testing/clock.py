"""A clock that is turned by hand."""


class Clock:
    """A monotonic clock that stands still until it is advanced."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now
