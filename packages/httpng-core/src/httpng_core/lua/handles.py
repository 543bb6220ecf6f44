"""What Lua holds of the host's: numbers for exchanges and for calls that wait.

Never the objects: on LuaJIT lupa keeps a few bytes of every object that it ever handed over.
"""

from collections.abc import Callable
from typing import Final

from httpng_core.exchange import Exchange
from httpng_core.pending import Pending

_FEW: Final = 64


class ExchangeHandle:
    """An exchange that Lua can ask about.

    Attributes:
        exchange: the exchange.
        header: its `write_header` of the old form, which waits after its write does.
    """

    __slots__ = ("__weakref__", "exchange", "header")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.header: Pending | None = None


class Exchanges:
    """Exchanges by number, for as long as Lua holds their `io`.

    A fiber may ask about an exchange long after it is over. Which `io` are still there is what Lua's
    garbage collector knows, so it is asked each time the table has doubled.
    """

    def __init__(self) -> None:
        self._by_number: dict[int, ExchangeHandle] = {}
        self._last = 0
        self._sweep_at = _FEW

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: float) -> ExchangeHandle:
        return self._by_number[int(number)]

    def add(self, exchange: Exchange, is_held: Callable[[int], bool]) -> int:
        """The number of a new exchange; `is_held` tells whether Lua has the `io` of one."""
        if len(self._by_number) >= self._sweep_at:
            self.sweep(is_held)
        self._last += 1
        self._by_number[self._last] = ExchangeHandle(exchange)
        return self._last

    def sweep(self, is_held: Callable[[int], bool]) -> None:
        """Forgets what Lua can't ask about any more."""
        self._by_number = {number: one for number, one in self._by_number.items() if is_held(number)}
        self._sweep_at = 2 * len(self._by_number) + _FEW


class Waits:
    """Calls that wait, by number: from the moment they wait until their fiber goes on."""

    def __init__(self) -> None:
        self._by_number: dict[int, tuple[Pending, Callable[[Pending], None]]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, pending: Pending, give_up: Callable[[Pending], None]) -> int:
        """The number of a call; `give_up` ends it as a timeout would."""
        self._last += 1
        self._by_number[self._last] = pending, give_up
        return self._last

    def pending(self, number: float) -> Pending:
        """The call of that number."""
        return self._by_number[int(number)][0]

    def wake(self, number: float) -> bool:
        """Ends a wait early; tells whether it still waited."""
        pending, give_up = self._by_number.get(int(number), (None, None))
        if pending is None or give_up is None or pending.settled:
            return False
        give_up(pending)
        return True

    def forget(self, number: float) -> None:
        """The fiber goes on, or won't ever."""
        self._by_number.pop(int(number), None)
