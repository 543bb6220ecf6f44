"""Limits that all event loops of a server have together, and the share of each loop in what counts.

1. Bytes are counted where they stay: after a connection was served, what its holdings say. A connection that
   holds nothing isn't looked at again.
2. At `memory_budget` no exchange begins, and those end whose bytes stand still, the longest first, until an
   eighth of the budget is free. Each loop ends its own, for its share of what is too much.
3. Before it comes to that, from a quarter of the budget on, each exchange gets an equal part of a quarter as
   its send window, if its own is wider: handlers wait for clients that read, who aren't ended for reading.
4. What moves isn't ended, unless what is held passes the budget by an eighth as well, or the budget has been
   used up for a second and nothing stands still. Then those end that take most of it: bytes times the seconds
   since the connection held none. Clients that move slowly on purpose can't keep the others out.
5. Exchanges that hold next to nothing are ended last: it would free nothing.

A look at all connections would hold the loop up where there are thousands. So the order is made of what was
counted last, which costs little for each, and only who would be ended is asked again.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import islice
from math import inf
from threading import Lock
from typing import Final, NamedTuple

from httpng_core import (
    Address,
    Admission,
    Cause,
    Connection,
    Holding,
    Settings,
    Timer,
    client_of,
    over_limit,
)
from httpng_driver.handlers.turn import GATHERED, LoopTurns

MEMORY_FULL: Final = over_limit("memory_budget", "the server holds as much for its clients as it may")
EXCHANGES_FULL: Final = over_limit("max_exchanges", "the server runs as many exchanges as it may")
CLIENT_FULL: Final = over_limit(
    "max_connections_per_address", "it has as many connections as a client may have"
)
_PART: Final = 8
"""One part in so many of the budget is freed, and is what may be held beyond it while all moves."""
_STILL: Final = 0.25
"""Bytes that haven't moved for so many seconds stand still."""
_PATIENCE: Final = 1.0
"""Seconds for which the budget may be used up by what moves, if nothing stands still."""
_LITTLE: Final = 4096
_MOST_AT_ONCE: Final = 4
"""So many are ended in one turn: others wait for it."""
_ASKED_AT_ONCE: Final = 32
"""So many are asked again in one turn."""
_PAUSE: Final = 0.25
"""Seconds until the next look, if there was nothing to end."""
_GATHERED: Final = 64 * 1024
_NARROWEST: Final = 16 * 1024

_MUCH, _SOME, _FOR_NOBODY = range(3)
"""In which order holdings end: those that wait for no client last."""


class Kept(NamedTuple):
    """What was counted of a connection.

    Attributes:
        size: how many bytes it holds.
        kind: of its holdings, that of the one to be ended first.
        still_since: since when that one stands still.
        held_since: since when the connection holds something.
    """

    size: int
    kind: int
    still_since: float
    held_since: float


Victim = tuple[int, float, int, Connection]
"""Its kind, a rank, a number that no other has so that no two are compared further, and whose it is."""


def _order(holding: Holding) -> tuple[int, float]:
    """Return what puts a holding before others, if they stand still."""
    if holding.since == inf:
        return _FOR_NOBODY, inf
    return _MUCH if holding.size >= _LITTLE else _SOME, holding.since


class Limits:
    """What all loops of a server may have together.

    Attributes:
        budget: how many bytes may be held, or `None`.
        shares: those of the loops that run.
    """

    def __init__(self, settings: Settings) -> None:
        """Hold all to the limits in `settings`."""
        self.shares: tuple[Share, ...] = ()
        self._clients: dict[str, int] = {}
        # Held while `shares` and `_clients` change: each loop has its thread.
        self._lock = Lock()
        self.renew(settings)

    def renew(self, settings: Settings) -> None:
        """Hold all to other limits. From any thread."""
        self.budget = settings.memory_budget
        self._most_exchanges = settings.max_exchanges
        self._most_of_client = settings.max_connections_per_address
        self._trusted = settings.trusted_proxies

    @property
    def held(self) -> int:
        """How many bytes are held."""
        return sum([share.held for share in self.shares])

    @property
    def under_way(self) -> int:
        """How many exchanges run."""
        return sum([share.admission.under_way for share in self.shares])

    def full(self, has_body: bool) -> Cause | None:
        """Return why no exchange may begin; one whose request has come in whole takes no more memory."""
        if self._most_exchanges is not None and self.under_way >= self._most_exchanges:
            return EXCHANGES_FULL
        if self.budget is not None and not has_body and self.held >= self.budget:
            return MEMORY_FULL
        return None

    @property
    def check(self) -> Callable[[bool], Cause | None] | None:
        """`full`, if there is a limit that it looks at."""
        return None if self.budget is None and self._most_exchanges is None else self.full

    def join(self, peer: Address) -> str | Cause:
        """Count one more connection of a client; return whose it is, for `leave`, or why it has too many."""
        client = client_of(peer, self._trusted)
        if client:
            with self._lock:
                count = self._clients.get(client, 0)
                if self._most_of_client is not None and count >= self._most_of_client:
                    return CLIENT_FULL
                self._clients[client] = count + 1
        return client

    def leave(self, client: str) -> None:
        """Count one connection less of a client that has joined."""
        if client:
            with self._lock:
                count = self._clients.pop(client) - 1
                if count:
                    self._clients[client] = count

    def add(self, share: "Share") -> None:
        """Note that a loop has begun."""
        with self._lock:
            self.shares = (*self.shares, share)

    def remove(self, share: "Share") -> None:
        """Note that a loop has ended."""
        with self._lock:
            self.shares = tuple(one for one in self.shares if one is not share)


class Share:
    """What the connections of one loop hold. For the thread of the loop, with its lock held.

    Attributes:
        limits: those of the server.
        admission: what the connections ask before they begin an exchange.
        is_on: whether bytes are counted: there is a budget.
        held: how many bytes are held.
    """

    def __init__(
        self,
        limits: Limits,
        turns: LoopTurns,
        clock: Callable[[], float],
        alarm_at: Callable[[float, Timer | None, Callable[[float], None]], Timer | None],
        ring: Callable[[Callable[[], None]], None],
    ) -> None:
        """Take `alarm_at`, which has a function called at a time, and `ring`, which does from any thread."""
        self.limits = limits
        self.admission = Admission()
        self.held = 0
        self._turns = turns
        self._clock = clock
        self._alarm_at = alarm_at
        self._ring = ring
        # The connections that hold something, those that were counted longest ago first.
        self._of: dict[Connection, Kept] = {}
        self._alarm: Timer | None = None
        # A heap of those to be ended, whether that is for standing still, and down to how much is held.
        self._victims: list[Victim] = []
        self._are_still = True
        self._goal = 0.0
        self._moving_since = inf
        self._take_limits()
        limits.add(self)

    def renew(self, settings: Settings) -> None:
        """Take other limits; connections are to be settled then."""
        self.limits.renew(settings)
        self._take_limits()
        if not self.is_on:
            self._of.clear()
            self._victims = []
            self.held = 0

    def settle(self, connection: Connection) -> None:
        """Count what a connection holds, now that it was served; do something if that is too much."""
        holdings = connection.holdings()
        if holdings or connection in self._of:
            self._count(connection, holdings)
        limits = self.limits
        held, budget = limits.held, limits.budget
        if budget is None or held < budget // 8:
            self.admission.widen()
            return
        if held >= budget // 4:
            self.admission.window = max(budget // (4 * max(limits.under_way, 1)), _NARROWEST)
        if held < budget:
            return
        if held > budget + budget // _PART:
            self._relieve(self._clock())
        elif self._alarm is None:
            for share in limits.shares:
                if share is self:
                    self.look()
                else:
                    share._ring(share.look)

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        kept = self._of.pop(connection, None)
        if kept is not None:
            self.held -= kept.size

    def look(self) -> None:
        """Look soon whether there is too much."""
        if self._alarm is None:
            self._alarm = self._alarm_at(self._clock(), None, self._relieve)

    def close(self) -> None:
        """Note that the loop has ended."""
        self.limits.remove(self)

    # Inside -------------------------------------------------------------------------------------------

    def _take_limits(self) -> None:
        self.is_on = self.limits.budget is not None
        self._turns.gathered = _GATHERED if self.is_on else GATHERED
        self.admission.full = self.limits.check
        self.admission.widen()

    def _count(self, connection: Connection, holdings: list[Holding]) -> None:
        before = self._of.pop(connection, None)
        if before is not None:
            self.held -= before.size
        if holdings:
            size = _sum(holdings)
            since = self._clock() if before is None else before.held_since
            self._of[connection] = Kept(size, *min(map(_order, holdings)), since)
            self.held += size

    def _relieve(self, now: float) -> None:
        """End some of what is held, if it is too much; the rest in the next turns."""
        alarm, self._alarm = self._alarm, None
        limits, budget = self.limits, self.limits.budget
        if budget is None:
            return
        # What a feed has sent, or a handler taken, may not be counted yet.
        for connection in list(islice(self._of, _ASKED_AT_ONCE)):
            self._count(connection, connection.holdings())
        if not self._victims:
            self._find(budget, now)
        has_more = self._end(now)
        if has_more or limits.held >= budget:
            self._alarm = self._alarm_at(now + (0 if has_more else _PAUSE), alarm, self._relieve)

    def _find(self, budget: int, now: float) -> None:
        """Find those to be ended, if too much is held, and down to how much."""
        total = self.limits.held
        if total < budget:
            self._moving_since = inf
            return
        self._goal = self.held / total * (budget - budget // _PART)
        before, self._are_still = now - _STILL, True
        self._victims = [
            (kept.kind, kept.still_since, number, connection)
            for number, (connection, kept) in enumerate(self._of.items())
            if kept.still_since <= before
        ]
        if self._victims:
            self._moving_since = inf
        else:
            self._moving_since = min(self._moving_since, now)
            is_urgent = total > budget + budget // _PART
            if is_urgent or now - self._moving_since >= _PATIENCE:
                self._find_moving(inf if is_urgent else now - _PATIENCE, now)
        heapify(self._victims)

    def _find_moving(self, before: float, now: float) -> None:
        """Find those that take most, as nothing stands still; of them who has held something since then."""
        self._are_still = False
        self._victims = [
            (kept.kind // _FOR_NOBODY, -kept.size * (now - kept.held_since), number, connection)
            for number, (connection, kept) in enumerate(self._of.items())
            if kept.held_since <= before and (kept.kind != _FOR_NOBODY or before == inf)
        ]

    def _end(self, now: float) -> bool:
        """End those who come first of the victims, if they still are; return whether there are more."""
        ended = asked = 0
        while self._victims and ended < _MOST_AT_ONCE and asked < _ASKED_AT_ONCE:
            if self.held <= self._goal:
                self._victims = []
                break
            asked += 1
            kind, rank, number, connection = heappop(self._victims)
            holdings = connection.holdings()
            if holdings:
                worst = min(holdings, key=_order if self._are_still else _least_free)
                if not self._are_still or _order(worst) <= (kind, rank):
                    worst.give_up(now, MEMORY_FULL)
                    ended += 1
                    before, holdings = _sum(holdings), connection.holdings()
                    goes_on = self._are_still and 0 < _sum(holdings) < before
                else:
                    goes_on = True
                if goes_on and (order := min(map(_order, holdings)))[1] <= now - _STILL:
                    # What else of it stands still has its turn later.
                    heappush(self._victims, (*order, number, connection))
            self._count(connection, holdings)
        return bool(self._victims)


def _sum(holdings: list[Holding]) -> int:
    return sum([holding.size for holding in holdings])


def _least_free(holding: Holding) -> tuple[bool, int]:
    """Return what puts a holding before others, if all move: the largest is ended first."""
    return holding.since == inf, -holding.size
