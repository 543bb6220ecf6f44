"""One request to an ASGI application: `receive` and `send` upon an exchange.

`send` tells the truth: it returns when the bytes are accepted into the send window, and raises an OSError
where they never will be. A task is made for each request; all else only when it is needed.
"""

from collections.abc import AsyncGenerator, Callable, MutableMapping
from contextlib import aclosing
from math import inf
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from httpng_core import (
    AsgiHandler,
    BodyError,
    Cause,
    ContentLengthError,
    EndKind,
    Exchange,
    Request,
    SendResult,
    Timer,
    cancelled,
    end_exchange,
)
from httpng_driver.handlers.asgi.errors import ClientGoneError, SendTimeout, is_consequence, misplaced
from httpng_driver.handlers.asgi.extensions import PathFile, at_most, extensions, pieces_of
from httpng_driver.handlers.asgi.host import AsgiHost
from httpng_driver.handlers.asgi.scope import http_scope
from httpng_driver.handlers.driving import GONE
from httpng_driver.handlers.io import IO

Message = MutableMapping[str, Any]


class HttpCall:
    """The call of an ASGI application for one request."""

    __slots__ = (
        "_begun",
        "_body_is_whole",
        "_cancel",
        "_changed",
        "_complete",
        "_ended",
        "_exchange",
        "_given",
        "_handler",
        "_headers",
        "_host",
        "_io",
        "_reading",
        "_refused",
        "_status",
        "_timer",
        "_trailers",
    )

    def __init__(self, host: AsgiHost, exchange: Exchange, io: IO, handler: AsgiHandler) -> None:
        """Make the call of `handler` on `exchange`."""
        self._host = host
        self._exchange = exchange
        self._io = io
        self._handler = handler
        self._cancel: Callable[[], object] = lambda: None
        self._status: Any = None
        self._headers: tuple[Any, ...] = ()
        # The request body was handed out, or was no good; somebody reads it.
        self._given = self._refused = self._reading = False
        # The exchange is over, and not as the application has ended its response.
        self._ended = False
        # The response's first bytes were given; its last ones were.
        self._begun = self._body_is_whole = self._complete = False
        # Those that have come, if the application has said that there will be some.
        self._trailers: list[Any] | None = None
        self._changed: anyio.Event | None = None
        self._timer: Timer | None = None

    def take_cancel(self, cancel: Callable[[], object]) -> None:
        """Take what cancels the task in which the call runs."""
        self._cancel = cancel

    async def run(self, request: Request, io: IO) -> None:
        """Call the application.

        Raises:
            RuntimeError: it has returned without a whole response.
        """
        exchange, scope = self._exchange, self.scope(request, io)
        if exchange.is_over:
            self._over()
        else:
            exchange.on_over = self._over
        try:
            await self._host.app_of(self._handler)(scope, self.receive, self.send)
        except Exception as error:
            if self._is_gone and is_consequence(error):
                # The end of the exchange has its line in the log.
                return
            raise
        finally:
            if not self._complete or self._timer is not None:
                self._leave()
        if not (self._complete or self._refused or self._ended):
            self._check_complete()

    def scope(self, request: Request, io: IO) -> dict[str, Any]:
        """Return the scope of the request."""
        state = self._host.state_of(self._handler)
        scope = http_scope(request, self._handler, self._exchange.settings.root_path, state)
        scope["extensions"] = extensions(self._exchange, io)
        return scope

    async def receive(self) -> Message:
        """Return the next piece of the request body; after the last one wait until the exchange is over.

        A body that breaks the protocol, is too long or too slow is answered in the application's place, which
        is told that its client has gone.
        """
        self._host.check_thread()
        if not (self._given or self._reading or self._is_over):
            try:
                return await self._read()
            except BodyError as error:
                self._refuse(error)
        while not self._is_over:
            await self._change()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the response; returns when its bytes are accepted into the send window.

        A body that is no longer than the window is accepted whole or, if the task is cancelled meanwhile, not
        at all.

        Raises:
            SendTimeout: there was no room within the send timeout; the exchange is aborted.
            ClientGoneError: the client has gone.
            RuntimeError: the message has no place here, or is unknown.
            TypeError, ValueError: it isn't one; a header that can't be sent, a wrong status.
        """
        kind = message["type"]
        if kind == "http.response.body":
            self._host.check_thread()
            if self._status is None or self._complete or self._body_is_whole:
                raise self._misplaced(kind)
            body, more = message.get("body", b""), message.get("more_body", False)
            if more and not self._ended:
                await self._write(body)
            elif not self._ended:
                await self._send_last(body)
            else:
                await self._send_after_end(body, more)
        elif kind == "http.response.start":
            if self._status is not None:
                raise self._misplaced(kind)
            if (self._ended or self._refused) and self._is_gone:
                raise ClientGoneError("the client has gone")
            self._status = message["status"]
            self._headers = tuple(map(tuple, message.get("headers", ())))
            if message.get("trailers", False):
                self._trailers = []
        else:
            await self._send_other(kind, message)

    # Inside: receiving --------------------------------------------------------------------------------

    async def _change(self) -> None:
        """Wait until something has changed."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    async def _read(self) -> Message:
        request, incoming = self._exchange.request, self._exchange.incoming
        if incoming is None:
            self._given = True
            return {"type": "http.request", "body": request.body, "more_body": False}
        self._reading = True
        try:
            piece = await request.read()
        finally:
            self._reading = False
        self._given = incoming.is_read
        return {"type": "http.request", "body": piece, "more_body": not self._given}

    def _refuse(self, error: BodyError) -> None:
        self._refused = True
        if not self._exchange.is_over:
            end_exchange(self._exchange, error, self._host.clock())
            self._io.pump.wake()
        self._tell()

    # Inside: sending ----------------------------------------------------------------------------------

    async def _send_other(self, kind: str, message: Message) -> None:
        """Take a message of an extension."""
        if kind == "http.response.early_hint":
            links = [(b"link", link) for link in message["links"]]
            if self._begun or self._complete:
                raise self._misplaced(kind)
            await self._io.write_informational(103, links)
        elif kind == "http.response.trailers" and self._body_is_whole and not self._complete:
            assert self._trailers is not None
            self._trailers += map(tuple, message.get("headers", ()))
            if not message.get("more_trailers", False):
                trailers = self._trailers
                self._in_place(lambda now: self._exchange.close(now, None, trailers))
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            if self._status is None or self._complete or self._body_is_whole:
                raise self._misplaced(kind)
            await self._send_file(kind, message)
        else:
            raise RuntimeError(f"{kind!r} is no message for an HTTP response, or has no place here")

    async def _send_file(self, kind: str, message: Message) -> None:
        io = self._io
        window, io.send_window = io.send_window, at_most(self._window)
        try:
            if kind == "http.response.zerocopysend":
                await self._send_pieces(pieces_of(message))
                if not message.get("more_body", False):
                    await self._send_last(b"")
                return
            file = PathFile(self._host.files, message["path"])
            try:
                self._declare(await file.size())
                await self._send_pieces(file.pieces())
            finally:
                file.close()
            await self._send_last(b"")
        finally:
            io.send_window = window

    async def _send_pieces(self, pieces: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                if self._ended:
                    await self._send_after_end(piece, True)
                else:
                    await self._write(piece)

    def _declare(self, size: int) -> None:
        """Declare the length of the body, if the application hasn't, and trailers allow it."""
        if self._begun or self._trailers is not None:
            return
        if not any(name.lower() == b"content-length" for name, _ in self._headers):
            self._headers = (*self._headers, (b"content-length", b"%d" % size))

    async def _send_last(self, body: Any) -> None:
        if self._ended:
            await self._send_after_end(body, False)
            return
        if self._trailers is not None:
            await self._write(body)
            self._body_is_whole = True
            return
        if not self._begun:
            window = self._window
            if window != "auto" and len(body) <= window:
                self._in_place(self._exchange.answer, self._status, self._headers, body)
                return
            self._declare(len(body))
        if body or not self._begun:
            await self._write(body)
        self._in_place(self._exchange.close)

    def _in_place(self, end: Callable[..., None], *args: Any) -> None:
        """End the response, and have it go out now: no turn of the loop need be taken for it."""
        pump, exchange = self._io.pump, self._exchange
        flagged, pump.flagged = pump.flagged, True
        # Nobody has to hear of its end any more.
        self._complete, exchange.on_over = True, None
        try:
            end(*args, self._host.clock())
        except BaseException:
            self._complete, exchange.on_over = False, self._over
            raise
        finally:
            if not flagged:
                pump.serve_locked()
        self._io.__dict__["pump"] = GONE
        if self._changed is not None:
            self._tell()

    async def _write(self, body: Any) -> None:
        exchange, io = self._exchange, self._io
        if not self._begun:
            self._begin()
        before = exchange.current
        may_tear = len(body) > self._window if self._window != "auto" else False
        try:
            result = await io.write(body)
        except BaseException:
            if may_tear and before < exchange.current < before + len(body):
                exchange.reset(
                    self._host.clock(), Cause(EndKind.HANDLER_ABORT, "a send that had begun was cancelled")
                )
                io.pump.wake()
            raise
        if result is not None:
            await self._fell_short(result, body)

    def _begin(self) -> None:
        self._begun = True
        if self._status == 200:
            # They go out with the first body.
            self._io.headers = self._headers  # type: ignore[assignment]
        else:
            self._exchange.write_header(self._status, self._headers, self._host.clock(), inf)

    async def _fell_short(self, result: SendResult, body: Any) -> None:
        if cancelled(result):
            await self._send_after_end(body, True)
            return
        timeout = self._io.send_timeout
        if timeout is None:
            timeout = self._exchange.settings.default_send_timeout
        told = f"send found no room for {len(body)} bytes within its timeout of {timeout:g} s"
        self._exchange.reset(self._host.clock(), Cause(EndKind.SEND_TIMEOUT, told))
        self._io.pump.wake()
        raise SendTimeout(told)

    async def _send_after_end(self, body: Any, more: bool) -> None:
        """Take a body when the exchange is over: of a response that is whole without it, or for nobody."""
        if self._is_gone:
            raise ClientGoneError("the client has gone")
        self._complete = not more
        if body and not self._exchange.drops:
            raise ContentLengthError(
                f"{len(body)} bytes more than the response's content-length; nothing of them is sent"
            )
        # A loop of them must let others run.
        await checkpoint()

    def _misplaced(self, kind: str) -> RuntimeError:
        return misplaced(
            kind, is_whole=self._complete or self._body_is_whole, has_begun=self._status is not None
        )

    # Inside: ending -----------------------------------------------------------------------------------

    @property
    def _window(self) -> Any:
        window = self._io.send_window
        return self._exchange.settings.default_send_window if window is None else window

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

    def _check_complete(self) -> None:
        if self._status is None and self._exchange.head is not None:
            # By `io` alone, and that ends as a handler's response does.
            return
        missing = "a response" if self._status is None else "the last message of its response"
        raise RuntimeError(f"the ASGI application has returned without {missing}")

    def _over(self) -> None:
        """Note that the exchange is over, in whatever way."""
        self._ended = True
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
