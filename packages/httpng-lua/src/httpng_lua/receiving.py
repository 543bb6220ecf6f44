"""The receive of a WebSocket that Lua holds: one at a time, and one whose time is up loses nothing."""

from typing import Any

from httpng_core import Exchange, GeneratorWebSocket, Pending, Timer


class LuaSocket:
    """A WebSocket that Lua holds, and the receive that waits on it.

    Attributes:
        ws: the WebSocket.
        is_receiving: whether a fiber waits for a message, or has one to take.
    """

    __slots__ = ("_arrival", "_exchange", "_timer", "is_receiving", "ws")

    def __init__(self, ws: GeneratorWebSocket, exchange: Exchange) -> None:
        self.ws = ws
        self._exchange = exchange
        self.is_receiving = False
        # What came of a receive whose time was up is there for the next one.
        self._arrival: Pending | None = None
        self._timer: Timer | None = None

    def arrival(self) -> Pending:
        """Return what settles when there is a message, or none will come.

        Raises:
            RuntimeError: another receive waits.
        """
        if self.is_receiving:
            raise RuntimeError("another receive of this WebSocket waits: there can be one at a time")
        if self._arrival is None:
            self._arrival = self.ws.receive()
        return self._arrival

    def limit(self, deadline: float) -> None:
        """Have the receive that waits end at `deadline` at the latest."""
        exchange = self._exchange
        self._timer = exchange.timers.add(deadline, lambda now: self._end_wait())
        exchange.host.wake()

    def take(self) -> tuple[bool, str | bytes | None]:
        """Return whether the receive came to its end, and the message, or `None`: no more will come."""
        self.is_receiving = False
        self._exchange.timers.cancel(self._timer)
        arrival = self._arrival
        if arrival is None or not arrival.settled:
            return False, None
        self._arrival = None
        message: Any = arrival.result
        return True, message

    def stop_receiving(self) -> None:
        """Note that nobody waits any more; nothing is lost."""
        self.is_receiving = False
        self._exchange.timers.cancel(self._timer)
        if self._arrival is not None:
            self._arrival.on_settle = None

    def _end_wait(self) -> None:
        arrival = self._arrival
        if arrival is not None and arrival.on_settle is not None:
            ended, arrival.on_settle = arrival.on_settle, None
            ended()
