"""The fan-out of one loop: what feeds have for its connections, sent to as many as one turn allows."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from httpng_core import Broadcast
from httpng_driver.handlers.driving import Driving

P = TypeVar("P", bound=Driving)

_PAYLOADS_PER_TURN = 256
_log = logging.getLogger("httpng")


class FeedTurns(Generic[P]):
    """Payloads that wait for single followers, and broadcasts over those that are in step."""

    def __init__(self, flag: Callable[[P], None], soon: Callable[[], None]) -> None:
        """Take `flag`, which has a pump served in this turn, and `soon`, which has a turn taken."""
        self._flag = flag
        self._soon = soon
        self._followers: deque[P] = deque()
        self._broadcasts: deque[Broadcast] = deque()

    def __bool__(self) -> bool:
        """Return whether anything waits to be sent."""
        return bool(self._followers or self._broadcasts)

    def has_payload(self, pump: P) -> None:
        """Note that a feed has something for this client alone."""
        self._followers.append(pump)
        if len(self._followers) == 1:
            self._soon()

    def has_broadcast(self, broadcast: Broadcast) -> None:
        """Note that a feed has something for followers in step."""
        self._broadcasts.append(broadcast)
        self._soon()

    def send(self, now: float) -> None:
        """Send as much as one turn allows."""
        self._send_payloads()
        self._send_broadcasts(now)

    def _send_payloads(self) -> None:
        followers = self._followers
        for _ in range(min(len(followers), _PAYLOADS_PER_TURN)):
            pump = followers.popleft()
            if not pump.flagged:
                self._flag(pump)

    def _send_broadcasts(self, now: float) -> None:
        broadcasts, budget = self._broadcasts, _PAYLOADS_PER_TURN
        for _ in range(len(broadcasts)):
            if budget <= 0:
                return
            broadcast = broadcasts.popleft()
            try:
                # A feed with nobody in step any more has its price as well.
                budget -= max(self._pass(broadcast, budget, now), 1)
            except Exception:
                # A defect must not take the other followers with it.
                _log.exception("a broadcast failed; its followers are served each for itself")
                broadcast.disband(now)

    def _pass(self, broadcast: Broadcast, limit: int, now: float) -> int:
        """Send to at most `limit` followers in step; return to how many."""
        wire, sends, todo = broadcast.next_sends(limit)
        size = len(wire)
        for index in todo:
            try:
                taken = sends[index](wire)
            except OSError:
                taken = 0  # If it is more than "not now", the next attempt tells.
            if taken != size:
                broadcast.fell_short(index, taken, now)
        if broadcast.passed(todo, now):
            self._broadcasts.append(broadcast)
        return len(todo)
