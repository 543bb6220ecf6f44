"""What is done about a client that lags: steps, each from so many seconds of lag on.

1. A step is taken when the lag has come to its `after`, however the client reads: a timer sees to that.
2. It is left when the lag has been at most its `until` for as long as `after`, the last that was taken first.
   So a client that is slow for good doesn't go up and down with every payload.
3. What is told of a step goes out before all else. If a step is left before its mark was sent, nothing is
   told of it.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Final, Literal

from httpng_core.feeds.checks import checked_payload
from httpng_core.feeds.keys import Predicate, checked_keys
from httpng_core.feeds.many import Followed
from httpng_core.feeds.pace import Pace
from httpng_core.sending.calls import FollowOwner
from httpng_core.sending.ends import over_limit
from httpng_core.timers import Timer

LagAction = Literal["conflate", "slow", "drop", "close"]
"""What is done: the newest of each key alone is kept, fewer are sent, some keys no more, or nothing."""

_ACTIONS: Final = ("conflate", "slow", "drop", "close")
_CALM: Final = 4
"""A step is left at this part of the lag at which it is taken, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class LagStep:
    """What is done about a client from so many seconds of lag on, beside what the steps before it do.

    Attributes:
        after: from how many seconds of lag on.
        action: "conflate" keeps the newest payload of each key alone, as a feed with the policy "latest"
            always does; "slow" sends no more than `max_rate` of each key in a second; "drop" sends nothing
            more of `keys`, for as long as the follow goes on; "close" ends the exchange, as one that was cut
            short, or a WebSocket with the code 1013.
        until: at how many seconds of lag it is left; `None`: at a quarter of `after`.
        max_rate: payloads of each key in a second.
        keys: which keys are dropped: a set, or a function that gets a key and tells whether it is.
        reason: why, for the log, for `FollowStats` and for the CLOSE of a WebSocket.
        mark: what tells the client that the step was taken; `None`: nothing does.
        left: what tells it that the step was left.
    """

    after: float
    action: LagAction
    until: float | None = None
    max_rate: float | None = None
    keys: Iterable[Hashable] | Predicate | None = None
    reason: str = ""
    mark: bytes | str | None = None
    left: bytes | str | None = None

    def __post_init__(self) -> None:
        """Check what it says.

        Raises:
            TypeError, ValueError: it says what can't be.
        """
        if self.action not in _ACTIONS:
            raise ValueError(
                f"the action of a step must be one of {', '.join(_ACTIONS)}, not {self.action!r}"
            )
        self._check_limits()
        Pace(self.max_rate)
        for action, name, given in (("slow", "max_rate", self.max_rate), ("drop", "keys", self.keys)):
            if (given is None) is (self.action == action):
                needs = "needs" if given is None else "alone has"
                raise ValueError(f'a step "{action}" {needs} {name}')
        checked_keys(self.keys)
        if not isinstance(self.reason, str):
            raise TypeError(f"the reason of a step must be a str, not {self.reason!r:.80}")
        for mark in (self.mark, self.left):
            if mark is not None:
                checked_payload(mark)

    def _check_limits(self) -> None:
        limits: tuple[Any, ...] = (self.after,) if self.until is None else (self.after, self.until)
        for limit in limits:
            if isinstance(limit, bool) or not isinstance(limit, (int, float)):
                raise TypeError(f"after and until of a step must be numbers of seconds, not {limit!r:.80}")
        if not 0 < self.after < inf:
            raise ValueError(f"after of a step must be more than 0 seconds of lag, not {self.after}")
        if self.until is not None and not 0 <= self.until < self.after:
            raise ValueError(f"until of a step must be 0 or more, and less than after, not {self.until}")

    @property
    def calm(self) -> float:
        """At how many seconds of lag it is left."""
        return self.after / _CALM if self.until is None else self.until

    @property
    def drops(self) -> Predicate:
        """What says which keys are dropped."""
        keys = checked_keys(self.keys)
        return keys if callable(keys) else frozenset(keys or ()).__contains__


class Ladder:
    """The steps of one follow at work.

    Attributes:
        marks: what is to be told, the step of each beside it, and whether it was taken.
    """

    __slots__ = (
        "_busy_at",
        "_clock",
        "_dropped",
        "_owner",
        "_source",
        "_steps",
        "_taken",
        "_timer",
        "_wake",
        "marks",
    )

    def __init__(self, source: Followed, steps: tuple[LagStep, ...], clock: Callable[[], float]) -> None:
        """Look after `source`.

        Raises:
            ValueError: a step lowers a rate that the feed's policy has none of.
        """
        for step in steps:
            if step.max_rate is not None:
                source.check_pace(Pace(step.max_rate))
        self.marks: list[tuple[bytes, LagStep, bool]] = []
        self._source = source
        self._steps = steps
        self._clock = clock
        self._owner: FollowOwner | None = None
        self._wake: Callable[[], None] = lambda: None
        self._timer: Timer | None = None
        self._taken = 0
        self._dropped: list[LagStep] = []
        # When the lag was last more than that at which the last step is left.
        self._busy_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether a step is taken."""
        return self._taken > 0

    def begin(self, owner: FollowOwner, wake: Callable[[], None]) -> None:
        """Begin to look; `wake` is called when there is something to tell."""
        self._owner, self._wake = owner, wake
        self._arm(self._clock())

    def end(self) -> None:
        """Look no more."""
        owner, self._owner = self._owner, None
        assert owner is not None
        owner.timers.cancel(self._timer)

    def look(self, now: float) -> None:
        """Take the steps that the lag has come to, or leave one; the exchange may be over by that."""
        lag = now - self._source.waits_since
        steps = self._steps
        while self._owner is not None and self._taken < len(steps) and lag >= steps[self._taken].after:
            self._take(steps[self._taken], lag, now)
        if self._owner is None or not self._taken:
            return
        step = steps[self._taken - 1]
        if lag > step.calm:
            self._busy_at = now
        elif now - self._busy_at >= step.after:
            self._leave(step, now)

    # Inside -------------------------------------------------------------------------------------------

    def _take(self, step: LagStep, lag: float, now: float) -> None:
        self._taken += 1
        self._source.lag_step = self._taken
        self._busy_at = now
        if step.action == "close":
            self._close(step, lag, now)
            return
        self._tell(step, step.mark, taken=True)
        if step.action != "drop":
            self._apply(step)
        elif all(step is not before for before in self._dropped):
            # Once: it isn't undone when the step is left.
            self._dropped.append(step)
            self._source.drop_keys(step.drops, step.reason)

    def _leave(self, step: LagStep, now: float) -> None:
        self._taken -= 1
        self._source.lag_step = self._taken
        self._busy_at = now
        self._tell(step, step.left, taken=False)
        self._apply(step)

    def _apply(self, changed: LagStep) -> None:
        """Do what the steps say that are taken, as far as one of them has changed it."""
        taken = self._steps[: self._taken]
        if changed.action == "conflate":
            self._source.conflate(conflates=any(step.action == "conflate" for step in taken))
        elif changed.action == "slow":
            rates = [step.max_rate for step in taken if step.max_rate is not None]
            self._source.lower(min(rates, default=None))

    def _tell(self, step: LagStep, mark: bytes | str | None, *, taken: bool) -> None:
        unsent = [entry for entry in self.marks if entry[1] is step and entry[2]]
        if not taken and unsent:
            self.marks.remove(unsent[0])
        elif mark is not None:
            self.marks.append((checked_payload(mark), step, taken))
            self._wake()

    def _close(self, step: LagStep, lag: float, now: float) -> None:
        owner = self._owner
        assert owner is not None
        told = step.reason or f"what a feed published waited for {lag:.1f} s (lag_policy)"
        last = b"" if step.mark is None else checked_payload(step.mark)
        owner.cut_off(last, now, over_limit("lag_policy", told))

    def _ring(self, now: float) -> None:
        self._timer = None
        self.look(now)
        self._arm(now)

    def _arm(self, now: float) -> None:
        """Look again when the next step is due, if what waits goes on to, or the last may be left."""
        owner = self._owner
        if owner is None:
            return
        due = inf
        if self._taken < len(self._steps):
            since = self._source.waits_since
            due = (now if since == inf else since) + self._steps[self._taken].after
        if self._taken:
            due = min(due, self._busy_at + self._steps[self._taken - 1].after)
        self._timer = owner.timers.add(due, self._ring)


def checked_steps(policy: Any) -> tuple[LagStep, ...]:
    """Return the steps of a policy, none for `None`.

    Raises:
        TypeError, ValueError: it is none.
    """
    if policy is None:
        return ()
    if isinstance(policy, (str, bytes)) or not isinstance(policy, Iterable):
        raise TypeError(f"lag_policy must be a list of LagStep, or None, not {policy!r:.80}")
    steps = tuple(policy)
    for step in steps:
        if not isinstance(step, LagStep):
            raise TypeError(f"lag_policy must be a list of LagStep, not {step!r:.80} in it")
    for before, step in pairwise(steps):
        if step.after <= before.after:
            raise ValueError(
                f"the steps of lag_policy must come in order: {step.after} is not after {before.after}"
            )
        if before.action == "close":
            raise ValueError("what comes behind a step that closes is never done")
    return steps
