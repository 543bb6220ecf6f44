"""Marks that tell a client when it becomes thinned, and when it is current again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from httpng_core.feeds.ladder import Ladder, LagStep, checked_steps
from httpng_core.feeds.many import Followed
from httpng_core.feeds.pace import Pace
from httpng_core.http.response import body_bytes
from httpng_core.sending.calls import BroadcastSent, FollowOwner
from httpng_core.sending.host import DirectSend, Host

OnLag = Callable[[float, bool], "bytes | str | None"]
"""Gets the lag in seconds, and whether the client is thinned from now on; may return bytes that tell it."""

LagOptions = tuple[OnLag | None, tuple[float, float], Iterable[LagStep] | None]
"""`on_lag`, `lag_limits` and `lag_policy` as users give them."""

LAG_LIMITS: Final = (2.0, 0.5)
"""A client is thinned from so many seconds of lag on, and current again from so few."""


class LagWatched:
    """A source that tells its client when another falls behind. See `Source`.

    The lag is how long what waits for the client has waited, of those payloads that may go the one that has
    waited longest. It is looked at when the socket can take something, so that what is told is so; for the
    steps of a policy, when they are due as well.
    """

    __slots__ = ("_clock", "_is_thinned", "_ladder", "_limits", "_mark", "_offers_mark", "_on_lag", "_source")

    def __init__(self, source: Followed, lag: "Lag", clock: Callable[[], float]) -> None:
        """Watch `source`.

        Raises:
            ValueError: a step lowers a rate that the feed's policy has none of.
        """
        self._source = source
        self._on_lag = lag.on_lag
        self._limits = lag.limits
        self._clock = clock
        self._ladder = Ladder(source, lag.steps, clock) if lag.steps else None
        self._is_thinned = self._offers_mark = False
        # What is to be told before all else.
        self._mark = b""

    @property
    def framed(self) -> Callable[[bytes], bytes] | None:
        """What makes wire bytes of a payload, and of a mark, where each is framed for itself."""
        return self._source.framed

    @framed.setter
    def framed(self, framed: Callable[[bytes], bytes] | None) -> None:
        self._source.framed = framed

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return self._source.ended

    @property
    def size(self) -> int:
        """The length of what would go next, as far as it is known; 0: there is nothing."""
        if self._mark:
            return len(self._mark)
        if self._ladder is not None and self._ladder.marks:
            return len(self._ladder.marks[0][0])
        size = self._source.size
        # That it is current is told when there is nothing else, too.
        return 1 if not size and self._is_thinned and self._source.waits_since == inf else size

    def begin(self, owner: FollowOwner, host: Host) -> None:
        """Join the feed."""
        self._source.begin(owner, host)
        if self._ladder is not None:
            self._ladder.begin(owner, host.payload_ready)

    def end(self) -> None:
        """Leave the feed."""
        if self._ladder is not None:
            self._ladder.end()
        self._source.end()

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""
        self._source.finish()

    def offer(self) -> bytes:
        """Return what to send next; raises whatever `on_lag` and `on_gap` do."""
        if not self._mark:
            self._source.step_out()
            self._look()
        self._offers_mark = bool(self._mark)
        if not self._mark:
            return self._source.offer() if self._source.size else b""
        framed = self._source.framed
        return self._mark if framed is None else framed(self._mark)

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last."""
        if self._offers_mark:
            self._mark, self._offers_mark = b"", False
        else:
            self._source.taken()

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Let a broadcast send what comes next, unless there is something to tell this client alone."""
        ladder = self._ladder
        if self._is_thinned or self._mark or self._source.has_dropped:
            return
        if ladder is None or not (ladder.is_up or ladder.marks):
            self._source.step_in(host, send, chunks=chunks)

    def step_out(self) -> None:
        """Let nothing be sent but what is offered."""
        self._source.step_out()

    def take_counts(self) -> BroadcastSent:
        """Return what a broadcast has sent since this was asked last."""
        return self._source.take_counts()

    def _look(self) -> None:
        """Have what is to be told now, if anything is."""
        ladder = self._ladder
        if ladder is not None:
            ladder.look(self._clock())
            if ladder.marks:
                self._mark = ladder.marks.pop(0)[0]
                return
        if self._on_lag is None:
            return
        lag = max(self._clock() - self._source.waits_since, 0.0)
        most, least = self._limits
        if lag > least if self._is_thinned else lag < most:
            return
        self._is_thinned = not self._is_thinned
        told = self._on_lag(lag, self._is_thinned)
        self._mark = b"" if told is None else body_bytes(told)


Watched = Followed | LagWatched
"""What follows a feed or several, perhaps watched for lag."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What is done about the lag of a client.

    Attributes:
        on_lag: what tells it of it; `None`: nothing does.
        limits: from how many seconds on it is thinned, and from how few it is current again.
        steps: what else is done.
    """

    on_lag: OnLag | None
    limits: tuple[float, float]
    steps: tuple[LagStep, ...] = ()

    def of_pace(self, pace: Pace | None) -> Pace:
        """Return a pace that tells how long payloads have waited."""
        pace = pace or Pace()
        pace.tells_lag = True
        return pace


def checked_lag(on_lag: Any, limits: Any, policy: Any = None) -> Lag | None:
    """Return what is done about the lag of a client; `None`: nothing is.

    Raises:
        TypeError, ValueError: wrong arguments.
    """
    steps = checked_steps(policy)
    if on_lag is None and not steps:
        return None
    if on_lag is not None and not callable(on_lag):
        raise TypeError(
            f"on_lag must be a function that gets a lag and whether it is thinned, not {on_lag!r:.80}"
        )
    if not isinstance(limits, (tuple, list)) or len(limits) != 2:
        raise TypeError(f"lag_limits must be two numbers of seconds, not {limits!r:.80}")
    for limit in limits:
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            raise TypeError(f"lag_limits must be two numbers of seconds, not {limits!r:.80}")
    most, least = limits
    if not 0 <= least < most < inf:
        raise ValueError(f"lag_limits must be more seconds and fewer, not {limits!r:.80}")
    return Lag(on_lag, (float(most), float(least)), steps)
