"""What operators do to a running server: end an exchange or a connection, set a send window."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from httpng_core import KILLED, Exchange
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.pump import Pump
from httpng_driver.serving.control import Service
from httpng_driver.serving.status import identity, name_of

_T = TypeVar("_T")


def kill_exchange(service: Service, name: str) -> bool:
    """Give an exchange up, by the `id` that a status tells; return whether there is one.

    On HTTP/1.1 its connection is reset, on HTTP/2 its stream. To be called in the thread of the first loop.
    """
    return any(_in_loop(hub, _reset, exchange) for hub, exchange in _exchanges(service, name))


def kill_connection(service: Service, name: str) -> bool:
    """Reset a connection and give all its exchanges up; return whether there is one. See `kill_exchange`."""
    for hub in service.hubs:
        with hub.lock:
            found = [pump for pump in hub.pumps if name_of(pump) == name]
        for pump in found:
            return _in_loop(hub, _abort, pump)
    return False


def set_window(service: Service, name: str, size: int) -> bool:
    """Set the send window of an exchange, in bytes; return whether there is one. See `kill_exchange`.

    Raises:
        TypeError, ValueError: it is no number of bytes.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"the window must be an integer, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"the window must be 0 or more bytes, not {size}")

    def set_it(hub: Hub, exchange: Exchange) -> None:
        exchange.set_window(size, hub.clock())

    return any(_in_loop(hub, set_it, exchange) for hub, exchange in _exchanges(service, name))


def _exchanges(service: Service, name: str) -> Iterator[tuple[Hub, Exchange]]:
    for hub in service.hubs:
        with hub.lock:
            found = [
                exchange
                for pump in hub.pumps
                if name.startswith(f"{name_of(pump)}-")
                for exchange in pump.connection.exchanges()
                if identity(pump, exchange) == name
            ]
        yield from ((hub, exchange) for exchange in found)


def _in_loop(hub: Hub, verb: Callable[[Hub, _T], None], what: _T) -> bool:
    """Do something in the thread of a loop: at once if that is this one, else soon."""

    def call() -> None:
        with hub.lock:
            verb(hub, what)
        hub.look()

    hub.call_in_loop(call)
    return True


def _reset(hub: Hub, exchange: Exchange) -> None:
    exchange.reset(hub.clock(), KILLED)


def _abort(hub: Hub, pump: Pump) -> None:
    pump.connection.abort(hub.clock(), KILLED)
    hub.runner.serve(pump.connection)
    pump.close()
