"""One call of an ASGI application: how it begins, what it learns of the exchange, and how it ends.

A task is made for each; all else only when it is needed.
"""

from collections.abc import Callable, MutableMapping
from math import inf
from typing import Any

import anyio

from httpng_core import SHUT_DOWN, AsgiHandler, Exchange, Timer, end_exchange
from httpng_driver.handlers.asgi.errors import is_consequence, misplaced
from httpng_driver.handlers.asgi.host import AsgiHost
from httpng_driver.handlers.asgi.scope import http_scope
from httpng_driver.handlers.driving import GONE
from httpng_driver.handlers.io import let_go

Message = MutableMapping[str, Any]


class AsgiCall:
    """What the calls for requests and for WebSockets have in common."""

    __slots__ = (
        "_begun",
        "_body_is_whole",
        "_cancel_task",
        "_changed",
        "_complete",
        "_ended",
        "_exchange",
        "_given",
        "_handler",
        "_headers",
        "_host",
        "_io",
        "_is_plain",
        "_is_unwanted",
        "_reading",
        "_refused",
        "_status",
        "_timer",
        "_trailers",
    )

    def __init__(self, host: AsgiHost, exchange: Exchange, handler: AsgiHandler) -> None:
        """Make the call of `handler` on `exchange`."""
        self._host = host
        self._exchange = exchange
        self._io = host.io_of(exchange)
        self._handler = handler
        self._status: Any = None
        self._headers: tuple[Any, ...] = ()
        # The request body was handed out, or was no good; somebody reads it.
        self._given = self._refused = self._reading = False
        # The exchange is over, and not as the application has ended its response.
        self._ended = False
        # The response's first bytes were given; its last ones were.
        self._begun = self._body_is_whole = self._complete = False
        # There is a status, and all of the above is false: the response may go out in one go.
        self._is_plain = False
        # Those that have come, if the application has said that there will be some.
        self._trailers: list[Any] | None = None
        self._changed: anyio.Event | None = None
        self._timer: Timer | None = None
        # What cancels its task, once that was started; whether that is to be done then.
        self._cancel_task: Callable[[], object] | None = None
        self._is_unwanted = False

    def take_cancel(self, cancel: Callable[[], object]) -> None:
        """Take what cancels the task in which the call runs, as it may have begun to do."""
        self._cancel_task = cancel
        if self._is_unwanted:
            cancel()

    async def run(self, number: int) -> None:
        """Call the application, and end the exchange as it has ended; `number` is that of the task."""
        exchange, handler, host = self._exchange, self._handler, self._host
        exchange.on_over = self._over
        if exchange.is_over:
            exchange.on_over = None
            self._over()
        app = host.wrapped(handler) if handler.is_wsgi else handler.app
        try:
            await app(self.scope(), self.receive, self.send)
        except BaseException as error:
            host.task_ended(number)
            self._leave()
            if host.reactor.ends_task(error):
                # The task is being cancelled, with the server: so is the exchange.
                exchange.cancel(host.clock(), SHUT_DOWN)
                raise
            self._end(error)
            return
        host.task_ended(number)
        if self._io.pump is not GONE or self._timer is not None:
            self._leave()
            self._end(None)

    def scope(self) -> dict[str, Any]:
        """Return what the application is called with."""
        return http_scope(self._exchange, self._io, self._handler, self._host.application.asgi_states)

    async def receive(self) -> Message:
        """Return the next message for the application."""
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        raise NotImplementedError

    # Inside -------------------------------------------------------------------------------------------

    def _end(self, error: BaseException | None) -> None:
        """End the exchange as a handler's return does; `error` is what the application has raised."""
        if error is None and not (self._complete or self._refused or self._ended):
            error = self._missing()
        elif isinstance(error, Exception) and self._is_gone and is_consequence(error):
            # The end of the exchange has its line in the log.
            error = None
        pump, transport = self._io.pump, self._exchange.transport
        in_place = not pump.flagged and not (transport.shares and transport.has_company())
        if in_place:
            pump.flagged = True
        end_exchange(self._exchange, error, self._host.clock(), self._io.headers)
        if in_place:
            pump.serve_locked()

    def _finish(self, end: Callable[..., None], *args: Any) -> None:
        """End the response, and have it go out now, unless a turn comes that others share."""
        pump, exchange = self._io.pump, self._exchange
        transport = exchange.transport
        in_place = not pump.flagged and not (transport.shares and transport.has_company())
        if in_place:
            pump.flagged = True
        # Nobody has to hear of its end any more.
        was_plain, self._is_plain = self._is_plain, False
        self._complete, exchange.on_over = True, None
        try:
            end(*args, self._host.clock())
        except BaseException:
            self._is_plain = was_plain
            self._complete, exchange.on_over = False, self._over
            raise
        finally:
            if in_place:
                pump.serve_locked()
        # Nothing is left to do for who has called.
        let_go(self._io)
        if self._changed is not None:
            self._tell()

    def _missing(self) -> Exception | None:
        """Return the error of an application that has returned before its response was whole."""
        if self._status is None and self._exchange.head is not None:
            # By `io` alone, and that ends as a handler's response does.
            return None
        missing = "a response" if self._status is None else "the last message of its response"
        return RuntimeError(f"the ASGI application has returned without {missing}")

    def _misplaced(self, kind: str) -> RuntimeError:
        return misplaced(
            kind, is_whole=self._complete or self._body_is_whole, has_begun=self._status is not None
        )

    @property
    def _is_gone(self) -> bool:
        return self._refused or (self._ended and self._exchange.stats(self._host.clock()).cancelled)

    @property
    def _is_over(self) -> bool:
        return self._complete or self._refused or self._ended

    @property
    def _is_left(self) -> bool:
        """Whether nobody is there for what may still come, now that the exchange is over."""
        return self._exchange.drops or self._is_gone

    def _over(self) -> None:
        """Note that the exchange is over, in whatever way."""
        self._ended, self._is_plain = True, False
        self._tell()
        if self._complete:
            return
        if not self._is_left:
            # Its response is whole, and it need not be in a hurry.
            return
        grace = self._exchange.settings.disconnect_grace
        if grace == 0:
            self._cancel()
        elif grace < inf:
            self._timer = self._host.call_later(grace, self._expired)

    def _cancel(self) -> None:
        if self._cancel_task is None:
            self._is_unwanted = True
        else:
            self._cancel_task()

    def _expired(self) -> None:
        self._timer = None
        if not self._complete:
            self._cancel()

    def _leave(self) -> None:
        if self._exchange.on_over == self._over:
            self._exchange.on_over = None
        if self._timer is not None:
            self._host.forget(self._timer)
            self._timer = None

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def _change(self) -> None:
        """Wait until something has changed."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()
