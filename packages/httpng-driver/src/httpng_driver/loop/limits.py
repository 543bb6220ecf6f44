"""Limits that all event loops of a server have together, and the share of each loop in what counts.

1. Bytes are counted where they stay: after a connection was served, what its holdings say. A connection that
   holds nothing isn't looked at again.
2. At `memory_budget` no exchange begins, and those end whose bytes stand still (`relief`), until an eighth of
   the budget is free. Each loop ends its own, for its share of what is too much.
3. Before it comes to that, from a quarter of the budget on, each exchange gets an equal part of a quarter as
   its send window, if its own is wider: handlers wait for clients that read, who aren't ended for reading.
"""

from collections.abc import Callable
from threading import Lock
from typing import Final

from httpng_core import Address, Admission, Cause, Connection, Settings, Timer, client_of, over_limit
from httpng_driver.handlers.turn import GATHERED, LoopTurns
from httpng_driver.loop.held import Held
from httpng_driver.loop.relief import PART, Relief

MEMORY_FULL: Final = over_limit("memory_budget", "the server holds as much for its clients as it may")
EXCHANGES_FULL: Final = over_limit("max_exchanges", "the server runs as many exchanges as it may")
CLIENT_FULL: Final = over_limit(
    "max_connections_per_address", "it has as many connections as a client may have"
)
_PAUSE: Final = 0.25
"""Seconds until the next look, if there was nothing to end."""
_GATHERED: Final = 64 * 1024
_NARROWEST: Final = 16 * 1024


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
        return sum([share.held.size for share in self.shares])

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
        held: what they hold.
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
        self._turns = turns
        self._clock = clock
        self._alarm_at = alarm_at
        self._ring = ring
        self.held = Held(clock)
        self._relief = Relief(self.held, lambda: limits.held, MEMORY_FULL)
        self._alarm: Timer | None = None
        self._take_limits()
        limits.add(self)

    def renew(self, settings: Settings) -> None:
        """Take other limits; connections are to be settled then."""
        self.limits.renew(settings)
        self._take_limits()
        if not self.is_on:
            self.held.clear()
            self._relief.stop()

    def settle(self, connection: Connection) -> None:
        """Count what a connection holds, now that it was served; do something if that is too much."""
        holdings = connection.holdings()
        if holdings or connection in self.held.of:
            self.held.count(connection, holdings)
        limits = self.limits
        held, budget = limits.held, limits.budget
        if budget is None or held < budget // 8:
            self.admission.widen()
            return
        if held >= budget // 4:
            self.admission.window = max(budget // (4 * max(limits.under_way, 1)), _NARROWEST)
        if held < budget:
            return
        if held > budget + budget // PART:
            self._relieve(self._clock())
        elif self._alarm is None:
            for share in limits.shares:
                if share is self:
                    self.look()
                else:
                    share._ring(share.look)

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self.held.forget(connection)

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

    def _relieve(self, now: float) -> None:
        """End some of what is held, if it is too much; the rest in the next turns."""
        alarm, self._alarm = self._alarm, None
        limits, budget = self.limits, self.limits.budget
        if budget is None:
            return
        goes_on = self._relief.step(budget, now, urgent=limits.held > budget + budget // PART)
        if goes_on or limits.held >= budget:
            self._alarm = self._alarm_at(now + (0 if goes_on else _PAUSE), alarm, self._relieve)
