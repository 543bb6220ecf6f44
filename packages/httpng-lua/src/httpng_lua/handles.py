"""What Lua holds of the host's: numbers for exchanges and for calls that wait.

Never the objects: on LuaJIT lupa keeps a few bytes of every object that it ever handed over.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from httpng_core import Exchange, Pending, Read, Runner
from httpng_core.languages import Followed
from httpng_lua.receiving import LuaSocket

_FEW: Final = 64
_FREE: Final = nullcontext()


def holding(home: Runner) -> AbstractContextManager[object]:
    """Return a context in which no other thread touches what belongs to the loop of `home`."""
    return _FREE if home.lock is None else home.lock


class ExchangeHandle:
    """An exchange that Lua can ask about.

    Attributes:
        exchange: the exchange.
        home: what runs its handler; whoever else touches the exchange holds the lock of that.
        header: its `write_header` of the old form, which waits after its write does.
        read: the read of its request's body that waits, or was taken last.
        socket: the WebSocket that it has become.
        follower: what follows a feed for it, or did last.
    """

    __slots__ = ("exchange", "follower", "header", "home", "read", "socket")

    def __init__(self, exchange: Exchange, home: Runner) -> None:
        self.exchange = exchange
        self.home = home
        self.header: Pending | None = None
        self.read: Read | None = None
        self.socket: LuaSocket | None = None
        self.follower: Followed | None = None


class Exchanges:
    """Exchanges by number, for as long as Lua holds their `io`.

    A fiber may ask about an exchange long after it is over. Which `io` are still there is what Lua's
    garbage collector knows, so it is asked each time the table has doubled.
    """

    def __init__(self) -> None:
        # Its handle is made when Lua first asks about an exchange: most handlers never do.
        self._by_number: dict[int, ExchangeHandle | tuple[Exchange, Runner]] = {}
        self._last = 0
        self._purge_at = _FEW

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: float) -> ExchangeHandle:
        found = self._by_number[number]  # type: ignore[index]  # 5.0, as Lua has it, finds 5
        if type(found) is tuple:
            found = self._by_number[int(number)] = ExchangeHandle(*found)
        return found  # type: ignore[return-value]

    def add(self, exchange: Exchange, home: Runner, held: Callable[[], bytes]) -> int:
        """Return the number of a new exchange; `held` gives the numbers of those whose `io` Lua has."""
        if len(self._by_number) >= self._purge_at:
            self.purge(held)
        self._last = number = self._last + 1
        self._by_number[number] = exchange, home
        return number

    def held(self, held: Callable[[], bytes]) -> int:
        """Count those that Lua can still ask about."""
        return sum(number in self._by_number for number in map(int, held().split()))

    def draining(self, home: Runner) -> list[int]:
        """Return the numbers of those in the loop of `home` whose handlers are to come to their end."""
        handles = [(number, self[number]) for number in self._by_number]
        return [number for number, handle in handles if handle.home is home and handle.exchange.draining]

    def purge(self, held: Callable[[], bytes]) -> None:
        """Forget what Lua can't ask about any more."""
        known = self._by_number
        self._by_number = {number: known[number] for number in map(int, held().split()) if number in known}
        self._purge_at = 2 * len(self._by_number) + _FEW


class Waits:
    """Calls that wait, by number: from the moment they wait until their fiber goes on.

    What a fiber waits for settles in the loop that runs it.
    """

    def __init__(self) -> None:
        self._by_number: dict[int, tuple[Pending, Callable[[Pending], None], Runner]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, pending: Pending, give_up: Callable[[Pending], None], home: Runner) -> int:
        """Return the number of a call of a fiber that `home` runs; `give_up` ends it as a timeout would."""
        self._last += 1
        self._by_number[self._last] = pending, give_up, home
        return self._last

    def move(self, home: Runner) -> None:
        """Have all that wait run by `home` from now on."""
        self._by_number = {
            number: (pending, give_up, home) for number, (pending, give_up, _) in self._by_number.items()
        }

    def pending(self, number: float) -> Pending:
        """Return the call of that number."""
        return self._by_number[int(number)][0]

    def wake(self, number: float) -> bool:
        """End a wait early; return whether it still waited."""
        found = self._by_number.get(int(number))
        if found is None:
            return False
        pending, give_up, home = found
        with holding(home):
            if pending.settled:
                return False
            give_up(pending)
            return True

    def forget(self, number: float) -> None:
        """Note that the fiber goes on, or won't ever."""
        self._by_number.pop(int(number), None)
